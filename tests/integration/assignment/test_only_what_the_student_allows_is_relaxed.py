from datetime import date, timedelta
from typing import Any

import pytest

from tests.support.assignment import MONDAY, World, local

HOME = {"latitude": 12.97, "longitude": 77.59}
ELEVEN_KM_AWAY = {"latitude": 13.07, "longitude": 77.59}
IN_PERSON = {"mode": "in_person", "location": HOME}
# What helps -> (the only trainer, the wish).
WORLDS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "time_30": ({"weeklySlots": [{"weekday": day, "from": "18:30", "to": "20:00"} for day in (1, 3)]}, {}),
    "time_60": ({"weeklySlots": [{"weekday": day, "from": "17:00", "to": "18:00"} for day in (1, 3)]}, {}),
    "weekday": ({"weeklySlots": [{"weekday": day, "from": "18:00", "to": "19:00"} for day in (2, 4)]}, {}),
    "radius": ({"modes": ["in_person"], "location": ELEVEN_KM_AWAY, "travelRadiusKm": 8}, IN_PERSON),
    "gender": ({"gender": "male"}, {"preferredGender": "female"}),
    "online": ({"modes": ["online"]}, IN_PERSON),
}


@pytest.mark.parametrize("given_up", WORLDS)
async def test_a_relaxation_is_proposed_and_taken_only_when_allowed(world: World, given_up: str) -> None:
    trainer, wish = WORLDS[given_up]
    await world.trainer("trainer-1", **trainer)
    strict = await world.purchase("order-1", **wish)
    assert (await world.assign(strict))["status"] == "pending"
    assert (await world.reason(strict))["relaxation"] == given_up
    assert not await world.sessions(strict)
    flexible = await world.purchase("order-2", student="student-2", flexibility=[given_up], **wish)
    assert (await world.assign(flexible))["status"] == "approved"
    assert (await world.reason(flexible))["relaxation"] == given_up
    assert len(await world.sessions(flexible)) == 10


async def test_the_least_is_given_up_and_nothing_without_need(world: World) -> None:
    everything = ["online", "gender", "radius", "weekday", "time_60", "time_30"]
    await world.trainer("at-18", weeklySlots=[{"weekday": day, "from": "18:00", "to": "20:00"} for day in (1, 3)])
    first = await world.purchase("order-1", flexibility=everything)
    second = await world.purchase("order-2", student="student-2", flexibility=everything)
    for purchase in (first, second):
        assert (await world.assign(purchase))["result"] == "ok"
    assert (await world.reason(first))["relaxation"] is None
    assert (await world.reason(second))["relaxation"] == "time_60"
    assert {local(start).hour for start in await world.starts(second)} == {19}


async def test_a_busy_student_is_moved_to_another_time_when_that_is_allowed(world: World) -> None:
    await world.trainer("trainer-1")
    await world.trainer("trainer-2", courses=["course-0002"])
    await world.buy("order-1")
    clash = await world.purchase("order-2", course="course-0002")
    assert (await world.assign(clash))["filter"] == "student-clash"
    assert (await world.reason(clash))["relaxation"] == "time_60"


@pytest.mark.parametrize(
    ("wished", "works", "first"),
    [
        ("23:30", {"weekday": 2, "from": "00:00", "to": "02:00"}, MONDAY + timedelta(days=1)),
        ("00:00", {"weekday": 7, "from": "22:00", "to": "24:00"}, MONDAY + timedelta(days=6)),
    ],
)
async def test_over_midnight_it_is_the_day_after_or_before(
    world: World, wished: str, works: dict[str, object], first: date
) -> None:
    await world.trainer("trainer-1", weeklySlots=[works])
    purchase = await world.purchase(
        "order-1", weekdays=[1], timeSlot=wished, durationMinutes=30, flexibility=["time_30", "time_60"]
    )
    assert (await world.assign(purchase))["status"] == "approved"
    starts = [local(start) for start in await world.starts(purchase)]
    assert [start.date() for start in starts] == [first + timedelta(weeks=week) for week in range(10)]


async def test_nothing_helps_when_nobody_teaches_the_course(world: World) -> None:
    purchase = await world.purchase("order-1", flexibility=["weekday", "online", "gender"])
    assert (await world.assign(purchase))["filter"] == "specialty"
    assert (await world.reason(purchase))["relaxation"] is None
