from datetime import timedelta
from uuid import UUID

import asyncpg
import pytest

from tests.support.assignment import MONDAY, World, local


@pytest.fixture
async def purchase(world: World) -> UUID:
    """Of ten sessions with trainer-1, the last one on a Wednesday."""
    await world.trainer("trainer-1")
    bought = await world.purchase("order-1")
    assert (await world.assign(bought))["result"] == "ok"
    return bought


async def _cancel(world: World, session: UUID) -> asyncpg.Record:
    told = await world.connection.fetchrow("SELECT * FROM cancel_session($1, 'staff-1')", session)
    assert told is not None
    return told


async def test_the_make_up_session_is_at_the_end_in_the_same_slot(world: World, purchase: UUID) -> None:
    first = (await world.sessions(purchase))[0]["id"]
    for result in ("ok", "duplicate"):
        assert dict(await _cancel(world, first)) == {"result": result, "status": "cancelled", "decision": None}
    sessions = await world.sessions(purchase)
    assert len(sessions) == 10
    assert local(sessions[-1]["starts_at"]).isoformat() == f"{MONDAY + timedelta(weeks=5)}T18:00:00"
    assert sessions[-1]["sequence_no"] == 11
    assert await world.load("trainer-1") == 120
    assert not await world.drifted()


async def test_the_last_session_is_not_made_up_on_its_own_date(world: World, purchase: UUID) -> None:
    last = (await world.sessions(purchase))[-1]
    await _cancel(world, last["id"])
    assert (await world.starts(purchase))[-1] == last["starts_at"] + timedelta(days=5)


async def test_the_make_up_session_avoids_holidays_leave_and_others(world: World, purchase: UUID) -> None:
    monday = MONDAY + timedelta(weeks=5)
    await world.connection.execute("INSERT INTO holidays VALUES ('XX', $1, 'a day off')", monday)
    away = monday + timedelta(days=2)
    off = {"startsAt": f"{away}T00:00:00+05:30", "endsAt": f"{away}T23:00:00+05:30"}
    await world.trainer("trainer-1", timeOff=[off])
    blocked = (monday + timedelta(days=7)).isoformat()
    assert (await world.buy("order-2", student="student-2", weekdays=[1], startDate=blocked))["result"] == "ok"
    await _cancel(world, (await world.sessions(purchase))[0]["id"])
    last = local((await world.starts(purchase))[-1])
    assert last.date() == monday + timedelta(days=9)


async def test_a_session_that_cannot_be_made_up_is_a_shortfall_until_it_can(world: World, purchase: UUID) -> None:
    sessions = await world.sessions(purchase)
    await world.connection.execute(
        "UPDATE student_course_purchases SET expiry_date = $1", sessions[-1]["ends_at"] + timedelta(days=1)
    )
    await _cancel(world, sessions[0]["id"])
    assert len(await world.sessions(purchase)) == 9
    assert (await world.reason(purchase))["shortfall"] == 1
    await _cancel(world, sessions[1]["id"])
    assert (await world.reason(purchase))["shortfall"] == 2
    later = sessions[-1]["ends_at"] + timedelta(days=60)
    await world.adjust(purchase, expiry_date=later)
    assert len(await world.sessions(purchase)) == 10
    assert "shortfall" not in await world.reason(purchase)


async def test_a_relaxed_slot_stays_where_it_was_moved_to(world: World) -> None:
    await world.trainer("trainer-1", weeklySlots=[{"weekday": day, "from": "19:00", "to": "20:00"} for day in (2, 4)])
    await world.trainer("trainer-2", weeklySlots=[{"weekday": day, "from": "18:00", "to": "19:00"} for day in (2, 4)])
    purchase = await world.purchase("order-1", flexibility=["weekday"])
    assert (await world.assign(purchase))["trainer_id"] == "trainer-2"
    await _cancel(world, (await world.sessions(purchase))[0]["id"])
    starts = [local(start) for start in await world.starts(purchase)]
    assert len(starts) == 10
    assert {(start.isoweekday(), start.hour) for start in starts} == {(2, 18), (4, 18)}


async def test_a_completed_session_cannot_be_cancelled_nor_a_future_one_completed(world: World, purchase: UUID) -> None:
    first = (await world.sessions(purchase))[0]["id"]
    complete = "SELECT * FROM complete_session($1, 'staff-1')"
    early = await world.connection.fetchrow(complete, first)
    assert early is not None
    assert early["result"] == "too-early"
    await world.connection.execute(
        "UPDATE tutoring_sessions SET starts_at = now(), ends_at = now() + interval '1 h' WHERE id = $1", first
    )
    for result in ("ok", "duplicate"):
        done = await world.connection.fetchrow(complete, first)
        assert done is not None
        assert dict(done) == {"result": result, "status": "completed"}
    assert dict(await _cancel(world, first)) == {"result": "completed", "status": "completed", "decision": None}
    progress = await world.connection.fetchrow("SELECT * FROM student_course_progress")
    assert progress is not None
    assert (progress["sessions_completed"], progress["sessions_total"]) == (1, 10)


async def test_the_trainer_is_load_until_the_last_session_is_done(world: World, purchase: UUID) -> None:
    for number, row in enumerate(await world.sessions(purchase)):
        assert await world.load("trainer-1") == 120
        await world.connection.execute(
            """
            UPDATE tutoring_sessions SET starts_at = now() - $2::interval, ends_at = now() - $2::interval + '1 h'
             WHERE id = $1
            """,
            row["id"],
            timedelta(days=20 - number),
        )
        await world.connection.fetchrow("SELECT * FROM complete_session($1, 'staff-1')", row["id"])
    assert await world.load("trainer-1") == 0
    assert not await world.drifted()
