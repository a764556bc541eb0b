"""The metadata column keeps the schedule and the order's own metadata."""

import orjson
from hypothesis import given
from hypothesis import strategies as st

from services.purchase_worker.details import details_json, read_details
from tests.support.events import schedule

PLAIN_TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)


def test_the_column_has_the_order_bodys_object_and_its_parts_by_name() -> None:
    wanted = schedule(
        mode="in_person", preferred_gender="female", latitude=12.9716, longitude=77.0, flexibility=("time_30",)
    )
    assert orjson.loads(details_json(wanted, {"channel": "web"})) == {
        "channel": "web",
        "timeSlot": "18:00",
        "date": "2027-01-04",
        "timeZone": "Asia/Kolkata",
        "schedule": {
            "startDate": "2027-01-04",
            "timeSlot": "18:00",
            "weekdays": [1, 3],
            "timeZone": "Asia/Kolkata",
            "durationMinutes": 60,
            "mode": "in_person",
            "preferredGender": "female",
            "location": {"latitude": 12.9716, "longitude": 77.0},
            "flexibility": ["time_30"],
        },
    }


@given(
    latitude=st.floats(-90, 90),
    longitude=st.floats(-180, 180),
    weekdays=st.lists(st.integers(1, 7), min_size=1, max_size=7),
    metadata=st.dictionaries(
        PLAIN_TEXT.filter(lambda name: name not in {"schedule", "date", "timeSlot", "timeZone"}), PLAIN_TEXT, max_size=5
    ),
)
def test_what_was_written_is_read(
    latitude: float, longitude: float, weekdays: list[int], metadata: dict[str, str]
) -> None:
    wanted = schedule(latitude=latitude, longitude=longitude, weekdays=tuple(weekdays))
    assert read_details(details_json(wanted, metadata)) == (wanted, metadata)


def test_an_orders_key_that_is_named_like_ours_gives_way() -> None:
    wanted = schedule()
    assert read_details(details_json(wanted, {"schedule": "mine", "date": "never", "note": "x"})) == (
        wanted,
        {"note": "x"},
    )
