"""How long a purchase is valid."""

from datetime import UTC, date, datetime

import pytest

from services.purchase_worker.terms import expiry_of
from tests.support.events import schedule

PAID_AT = datetime(2026, 11, 1, 12, 0, 0, 123456, tzinfo=UTC)


def test_days_count_from_the_first_day_when_it_is_later_than_the_payment() -> None:
    # Midnight in India is 18:30 of the day before in UTC.
    later = schedule(start_date=date(2027, 1, 4), time_zone="Asia/Kolkata")
    assert expiry_of(PAID_AT, later, 180) == datetime(2027, 7, 2, 18, 30, tzinfo=UTC)


def test_days_count_from_the_payment_when_the_first_day_has_begun() -> None:
    assert expiry_of(PAID_AT, schedule(start_date=date(2026, 11, 1)), 270) == datetime(
        2027, 7, 29, 12, 0, 0, 123456, tzinfo=UTC
    )


@pytest.mark.parametrize(
    ("zone", "midnight"), [("Pacific/Kiritimati", (2027, 1, 3, 10)), ("America/Los_Angeles", (2027, 1, 4, 8))]
)
def test_the_first_day_begins_at_midnight_in_the_schedules_own_zone(
    zone: str, midnight: tuple[int, int, int, int]
) -> None:
    wanted = schedule(start_date=date(2027, 1, 4), time_zone=zone)
    year, month, day, hour = midnight
    assert expiry_of(PAID_AT, wanted, 1) == datetime(year, month, day + 1, hour, tzinfo=UTC)


def test_a_midnight_that_the_clocks_skip_is_the_moment_they_skip_it() -> None:
    # Beirut's clocks went from 00:00 to 01:00 on 2021-03-28, which is 22:00 UTC of the day before.
    wanted = schedule(start_date=date(2021, 3, 28), time_zone="Asia/Beirut")
    assert expiry_of(datetime(2020, 1, 1, tzinfo=UTC), wanted, 1) == datetime(2021, 3, 28, 22, tzinfo=UTC)
