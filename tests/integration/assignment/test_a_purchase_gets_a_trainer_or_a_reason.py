from datetime import timedelta

from tests.support.assignment import COURSE, MONDAY, World, local


async def test_assignment_with_a_matching_trainer(world: World) -> None:
    await world.trainer("trainer-1")
    purchase = await world.purchase("order-1", tier=20)
    decision = await world.assign(purchase)
    assert (decision["result"], decision["status"], decision["trainer_id"]) == ("ok", "approved", "trainer-1")
    assert (decision["revision"], decision["session_count"], decision["decided_by"]) == (1, 20, "auto")
    starts = [local(start) for start in await world.starts(purchase)]
    assert len(starts) == 20
    assert starts[0].isoformat() == f"{MONDAY}T18:00:00"
    assert {(start.isoweekday(), start.hour) for start in starts} == {(1, 18), (3, 18)}
    assert starts[-1].date() == MONDAY + timedelta(weeks=9, days=2)
    assert decision["first_session_at"] == (await world.starts(purchase))[0]
    assert await world.load("trainer-1") == 120
    assert not await world.drifted()


async def test_assignment_without_a_trainer(world: World) -> None:
    purchase = await world.purchase("order-1")
    decision = await world.assign(purchase)
    assert (decision["result"], decision["status"], decision["filter"]) == ("pending", "pending", "specialty")
    assert not await world.sessions(purchase)
    assert (await world.reason(purchase))["relaxation"] is None


async def test_an_unknown_course_is_pending_by_specialty(world: World) -> None:
    await world.trainer("trainer-1")
    decision = await world.buy("order-1", course="course-9999")
    assert (decision["status"], decision["filter"]) == ("pending", "specialty")


async def test_assigning_twice_is_one_allocation(world: World) -> None:
    await world.trainer("trainer-1")
    purchase = await world.purchase("order-1")
    first = await world.assign(purchase)
    second = await world.assign(purchase)
    assert second["result"] == "duplicate"
    assert dict(second) | {"result": "ok"} == dict(first)
    assert len(await world.sessions(purchase)) == 10
    assert await world.load("trainer-1") == 120


async def test_a_pending_one_is_tried_again_and_becomes_a_new_revision(world: World) -> None:
    purchase = await world.purchase("order-1")
    first = await world.assign(purchase)
    assert (await world.assign(purchase))["result"] == "duplicate"
    await world.trainer("trainer-1", gender="male", weeklyCapacityMinutes=60)
    other_reason = await world.assign(purchase)
    assert (other_reason["result"], other_reason["filter"], other_reason["revision"]) == ("pending", "capacity", 2)
    await world.trainer("trainer-1")
    found = await world.assign(purchase)
    assert (found["result"], found["allocation_id"], found["revision"]) == ("ok", first["allocation_id"], 3)
    assert found["filter"] is None


async def test_what_is_not_active_gets_no_trainer_and_what_is_not_there_is_missing(world: World) -> None:
    await world.trainer("trainer-1")
    purchase = await world.purchase("order-1")
    for status in ("frozen", "revoked", "expired"):
        await world.connection.execute("UPDATE student_course_purchases SET status = $1", status)
        assert (await world.assign(purchase))["result"] == "inactive"
    await world.connection.execute("DELETE FROM student_course_purchases")
    assert (await world.assign(purchase))["result"] == "missing"
    assert await world.load("trainer-1") == 0


async def test_every_decision_tells_why(world: World) -> None:
    await world.trainer("trainer-1")
    await world.trainer("trainer-2", gender="male")
    await world.trainer("trainer-3", courses=["course-0002"])
    purchase = await world.purchase("order-1", preferredGender="female")
    await world.assign(purchase)
    why = await world.reason(purchase)
    assert why["rules"] == 1
    assert why["funnel"] == {
        "specialty": 2, "gender": 1, "slot": 1, "capacity": 1, "radius": 1, "leave": 1, "dates": 1,
    }  # fmt: skip
    assert [one["trainer_id"] for one in why["top"]] == ["trainer-1"]
    assert why["chosen"]["trainer_id"] == "trainer-1"
    assert isinstance(why["chosen"]["tie_break"], int)
    assert why["relaxation"] is None
    assert why["at"]


async def test_a_trainer_teaches_several_courses_with_one_load(world: World) -> None:
    await world.trainer("trainer-1", courses=[COURSE, "course-0002"])
    await world.buy("order-1")
    await world.buy("order-2", student="student-2", course="course-0002", timeSlot="19:00")
    assert await world.load("trainer-1") == 240
    assert not await world.drifted()
