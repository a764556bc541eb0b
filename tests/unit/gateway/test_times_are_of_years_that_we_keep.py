"""What staff may send as a time: also the calendar's ends, which no other zone has."""

import pytest
from pydantic import ValidationError

from services.gateway_api.bodies.admin import RescheduleBody, TimeOff

KEPT = ["2000-01-01T00:00:00Z", "2200-12-31T23:59:59Z", "2026-05-01T10:00:00+05:30"]
TOO_FAR = [
    "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "1999-12-31T23:59:59Z", "2201-01-01T00:00:00Z",
    "2000-01-01T00:00:00+14:00",
]  # fmt: skip


@pytest.mark.parametrize("moment", KEPT)
def test_a_time_of_these_centuries_is_taken(moment: str) -> None:
    assert RescheduleBody.model_validate_json(f'{{"startsAt": "{moment}"}}')


@pytest.mark.parametrize("moment", TOO_FAR)
def test_any_other_is_invalid_and_no_fault_of_ours(moment: str) -> None:
    with pytest.raises(ValidationError):
        RescheduleBody.model_validate_json(f'{{"startsAt": "{moment}"}}')
    for first, second in ((moment, KEPT[1]), (KEPT[0], moment)):
        with pytest.raises(ValidationError):
            TimeOff.model_validate_json(f'{{"startsAt": "{first}", "endsAt": "{second}"}}')
