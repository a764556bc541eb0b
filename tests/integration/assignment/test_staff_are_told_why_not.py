from typing import Any
from uuid import uuid4

import orjson

from tests.support.assignment import World

_ALLOCATE = "SELECT * FROM allocate_trainer($1, $2, 'staff-1')"
_APPROVE = "SELECT * FROM approve_allocation($1, $2, 'staff-1')"


async def test_a_person_is_refused_what_the_machine_is_refused(world: World) -> None:
    purchase = await world.purchase("order-1", preferredGender="female")
    refusals: dict[str, dict[str, Any]] = {
        "specialty": {"courses": ["course-0002"]},
        "gender": {"gender": "male"},
        "slot": {"weeklySlots": []},
        "capacity": {"weeklyCapacityMinutes": 60},
    }
    for word, overrides in refusals.items():
        await world.trainer("trainer-1", **overrides)
        told = await world.connection.fetchrow(_ALLOCATE, purchase, "trainer-1")
        assert told is not None
        assert (told["result"], told["filter"], told["allocation_id"]) == ("refused", word, None)
    assert await world.connection.fetchval("SELECT count(*) FROM trainer_allocations") == 0


async def test_a_conflict_names_the_sessions_that_are_in_the_way(world: World) -> None:
    await world.trainer("trainer-1")
    taken = await world.purchase("order-1", student="student-2")
    await world.assign(taken)
    told = await world.connection.fetchrow(_ALLOCATE, await world.purchase("order-2"), "trainer-1")
    assert told is not None
    conflicts = orjson.loads(told["conflicts"])
    assert told["result"] == "conflict"
    assert [one["sessionId"] for one in conflicts] == [str(row["id"]) for row in await world.sessions(taken)]
    assert {(one["trainerId"], one["studentId"]) for one in conflicts} == {("trainer-1", "student-2")}


async def test_a_session_that_leaves_no_time_for_the_way_is_named_too(world: World) -> None:
    home = {"latitude": 12.97, "longitude": 77.59}
    await world.trainer("trainer-1", modes=["online", "in_person"], location=home, travelRadiusKm=10)
    taken = await world.purchase("order-1", student="student-2", timeSlot="18:00")
    await world.assign(taken)
    visit = await world.purchase("order-2", timeSlot="19:00", mode="in_person", location=home)
    told = await world.connection.fetchrow(_ALLOCATE, visit, "trainer-1")
    assert told is not None
    assert told["result"] == "conflict"
    named = {one["sessionId"] for one in orjson.loads(told["conflicts"])}
    assert named == {str(row["id"]) for row in await world.sessions(taken)}


async def test_allocating_a_pending_one_approves_it(world: World) -> None:
    pending = await world.buy("order-1")
    await world.trainer("trainer-1")
    told = await world.connection.fetchrow(_ALLOCATE, pending["purchase_id"], "trainer-1")
    assert told is not None
    assert (told["result"], told["allocation_id"], told["revision"]) == ("ok", pending["allocation_id"], 2)
    assert told["decided_by"] == "staff-1"


async def test_approving_without_a_name_takes_whom_the_machine_finds(world: World) -> None:
    pending = await world.buy("order-1")
    refused = await world.connection.fetchrow(_APPROVE, pending["allocation_id"], None)
    assert refused is not None
    assert (refused["result"], refused["filter"]) == ("refused", "specialty")
    await world.trainer("trainer-1")
    approved = await world.connection.fetchrow(_APPROVE, pending["allocation_id"], None)
    assert approved is not None
    assert (approved["result"], approved["trainer_id"]) == ("ok", "trainer-1")


async def test_unknown_allocations_and_trainers_are_missing(world: World) -> None:
    pending = await world.buy("order-1")
    assert await world.connection.fetchrow(_APPROVE, uuid4(), "trainer-1") is None
    told = await world.connection.fetchrow(_APPROVE, pending["allocation_id"], "nobody")
    assert told is not None
    assert told["result"] == "missing"


async def test_nothing_is_decided_about_a_frozen_purchase(world: World) -> None:
    pending = await world.buy("order-1")
    await world.trainer("trainer-1")
    await world.connection.execute("UPDATE student_course_purchases SET status = 'frozen'")
    told = await world.connection.fetchrow(_APPROVE, pending["allocation_id"], "trainer-1")
    assert told is not None
    assert (told["result"], told["filter"]) == ("refused", "frozen")
