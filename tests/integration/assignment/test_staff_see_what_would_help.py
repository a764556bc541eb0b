from typing import Any

from tests.support.assignment import World

_MOVE = "SELECT * FROM move_allocation($1, $2, 'staff-1')"
_HOME = {"latitude": 12.97, "longitude": 77.59}


async def _swap(world: World, **wish: Any) -> tuple[Any, Any]:  # noqa: ANN401 - as World.buy
    """The allocation in the way of a student who wants a woman, and that student's pending one: (taken, waiting)."""
    await world.trainer("trainer-1", gender="female")
    taken = await world.buy("order-2", student="student-2")
    await world.trainer("trainer-2", gender="male")
    return taken, await world.buy("order-1", preferredGender="female", **wish)


async def test_the_trainers_who_nearly_fit_are_listed_the_nearest_first(world: World) -> None:
    await world.trainer("short-of-time", weeklyCapacityMinutes=60)
    await world.trainer("a-man", gender="male")
    await world.trainer("at-noon", weeklySlots=[{"weekday": day, "from": "12:00", "to": "13:00"} for day in (1, 3)])
    await world.trainer("a-man-at-noon", gender="male", weeklySlots=[])
    await world.trainer("another-course", courses=["course-0002"])
    pending = await world.buy("order-1", preferredGender="female")
    misses = (await world.reason(pending["purchase_id"]))["nearMisses"]
    assert misses == [
        {"trainerId": "a-man", "fails": ["gender"]},
        {"trainerId": "at-noon", "fails": ["slot"]},
        {"trainerId": "short-of-time", "fails": ["capacity"], "minutesLacking": 60},
        {"trainerId": "a-man-at-noon", "fails": ["gender", "slot"]},
    ]


async def test_how_far_away_and_how_busy_is_said(world: World) -> None:
    travelling = {"modes": ["in_person"], "location": _HOME, "travelRadiusKm": 5}
    await world.trainer("trainer-1", **travelling)
    taken = await world.buy("order-2", student="student-2", mode="in_person", location=_HOME)
    assert taken["result"] == "ok"
    near = await world.buy("order-1", mode="in_person", location=_HOME)
    assert (await world.reason(near["purchase_id"]))["nearMisses"] == [
        {"trainerId": "trainer-1", "fails": ["dates"], "sessionsInTheWay": 10}
    ]
    north = {"latitude": 13.07, "longitude": 77.59}
    far = await world.buy("order-3", student="student-3", mode="in_person", location=north)
    (miss,) = (await world.reason(far["purchase_id"]))["nearMisses"]
    assert (miss["trainerId"], miss["fails"]) == ("trainer-1", ["radius"])
    # 0.1 degrees of latitude are 11.1 km.
    assert 6000 < miss["metresTooFar"] < 6300


async def test_moving_one_allocation_that_frees_the_slot_is_proposed_and_then_works(world: World) -> None:
    taken, waiting = await _swap(world)
    (repair,) = (await world.reason(waiting["purchase_id"]))["repairs"]
    assert repair == {
        "trainerId": "trainer-1",
        "allocationId": str(taken["allocation_id"]),
        "toTrainerId": "trainer-2",
    }
    moved = await world.connection.fetchrow(_MOVE, taken["allocation_id"], "trainer-2")
    assert moved is not None
    assert (moved["result"], moved["trainer_id"], moved["session_count"]) == ("ok", "trainer-2", 10)
    assert (await world.assign(waiting["purchase_id"]))["trainer_id"] == "trainer-1"
    assert [len(await world.sessions(one["purchase_id"])) for one in (taken, waiting)] == [10, 10]
    assert [await world.load(trainer) for trainer in ("trainer-1", "trainer-2")] == [120, 120]
    assert not await world.drifted()


async def test_minutes_are_freed_like_hours_of_the_day(world: World) -> None:
    await world.trainer("trainer-1", weeklyCapacityMinutes=120)
    taken = await world.buy("order-2", student="student-2", timeSlot="16:00")
    await world.trainer("trainer-2", gender="male")
    waiting = await world.buy("order-1", preferredGender="female")
    assert waiting["filter"] == "capacity"
    (repair,) = (await world.reason(waiting["purchase_id"]))["repairs"]
    assert repair["allocationId"] == str(taken["allocation_id"])


async def test_nobody_who_has_begun_is_moved_for_others(world: World) -> None:
    taken, waiting = await _swap(world)
    first = (await world.sessions(taken["purchase_id"]))[0]["id"]
    await world.connection.execute(
        "UPDATE tutoring_sessions SET starts_at = now() - interval '1 h', ends_at = now() WHERE id = $1", first
    )
    await world.assign(waiting["purchase_id"])
    assert (await world.reason(waiting["purchase_id"]))["repairs"] == []


async def test_no_swap_is_proposed_for_which_there_is_nobody(world: World) -> None:
    await world.trainer("trainer-1")
    await world.buy("order-2", student="student-2")
    waiting = await world.buy("order-1")
    assert (await world.reason(waiting["purchase_id"]))["repairs"] == []


async def test_a_move_to_somebody_who_does_not_fit_changes_nothing(world: World) -> None:
    taken, waiting = await _swap(world)
    await world.trainer("trainer-3", weeklyCapacityMinutes=60)
    await world.trainer("trainer-4")
    blocked = await world.buy("order-4", student="student-4")
    assert blocked["trainer_id"] == "trainer-2" or blocked["trainer_id"] == "trainer-4"
    before = await world.sessions(taken["purchase_id"])
    for trainer, result, word in (
        ("trainer-3", "refused", "capacity"),
        (blocked["trainer_id"], "conflict", "slot"),
        ("nobody", "missing", None),
        ("trainer-1", "duplicate", None),
    ):
        told = await world.connection.fetchrow(_MOVE, taken["allocation_id"], trainer)
        assert told is not None
        assert (told["result"], told["filter"]) == (result, word)
    told = await world.connection.fetchrow(_MOVE, waiting["allocation_id"], "trainer-4")
    assert told is not None
    assert told["result"] == "decided"
    assert await world.sessions(taken["purchase_id"]) == before
    assert not await world.drifted()


async def test_what_was_held_stays_with_whoever_held_it(world: World) -> None:
    taken, _ = await _swap(world)
    first = (await world.sessions(taken["purchase_id"]))[0]["id"]
    await world.connection.execute(
        "UPDATE tutoring_sessions SET starts_at = now() - interval '1 h', ends_at = now() WHERE id = $1", first
    )
    await world.connection.execute("SELECT complete_session($1, 'staff-1')", first)
    moved = await world.connection.fetchrow(_MOVE, taken["allocation_id"], "trainer-2")
    assert moved is not None
    assert (moved["result"], moved["session_count"]) == ("ok", 9)
    (held,) = await world.sessions(taken["purchase_id"], status="completed")
    assert held["trainer_id"] == "trainer-1"
    assert {row["trainer_id"] for row in await world.sessions(taken["purchase_id"])} == {"trainer-2"}
    assert await world.load("trainer-1") == 0
