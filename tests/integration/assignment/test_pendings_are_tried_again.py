import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from services.assignment_worker import pendings
from services.assignment_worker.allocations import Decision, assign
from services.assignment_worker.pendings import look_after_pendings, retry_pendings
from services.common.codec import EncodedEvent, load_codec
from services.common.database import Database, Transaction, open_database
from services.common.errors import DeadlineError
from services.common.events import Event, TrainerAssigned, allocation_event_id
from services.common.settings import Settings
from tests.support.assignment import World
from tests.support.eventually import eventually

CODEC = load_codec()


@pytest.fixture
async def database(world: World) -> AsyncIterator[Database]:
    """With the grants of the assignment worker."""
    settings = Settings.from_environment(database_url=world.url)
    async with open_database(settings, role="coursepay_assignment_worker", application="test") as opened:
        yield opened


async def _told(world: World) -> list[Event]:
    rows = await world.connection.fetch("SELECT * FROM outbox ORDER BY id")
    events = [
        CODEC.decode_body(EncodedEvent(type=row["type"], version=row["version"], body=row["payload"])) for row in rows
    ]
    assert [event.event_id for event in events] == [row["event_id"] for row in rows]
    return events


async def _age(world: World, by: timedelta) -> None:
    """As if the last look for a trainer were longer ago."""
    await world.connection.execute("UPDATE trainer_allocations SET tried_at = tried_at - $1::interval", by)


async def test_a_new_trainer_is_found_and_told_through_the_outbox(world: World, database: Database) -> None:
    pending = await world.buy("order-1")
    await _age(world, timedelta(minutes=1))
    assert await retry_pendings(database, CODEC) == 0
    await world.trainer("trainer-1")
    assert await retry_pendings(database, CODEC) == 1
    [event] = await _told(world)
    assert isinstance(event, TrainerAssigned)
    assert (event.order_id, event.trainer_id) == ("order-1", "trainer-1")
    assert event.event_id == allocation_event_id("TrainerAssigned", pending["allocation_id"], 2)
    assert await retry_pendings(database, CODEC) == 0
    assert len(await _told(world)) == 1


@pytest.mark.parametrize("change", ["cancelled session", "revoked purchase", "more capacity", "end of leave"])
async def test_a_trainer_who_gets_time_back_is_found(world: World, database: Database, change: str) -> None:
    await world.trainer("trainer-1", weeklyCapacityMinutes=120 if change == "more capacity" else 240)
    first = await world.purchase("order-1")
    await world.assign(first)
    wish: dict[str, Any] = {"weekdays": [2, 4]} if change == "more capacity" else {}
    waiting = await world.purchase("order-2", student="student-2", **wish)
    assert (await world.assign(waiting))["status"] == "pending"
    await _age(world, timedelta(minutes=1))
    await world.connection.execute("UPDATE trainer_offers SET freed_at = freed_at - interval '1 hour'")
    due = "SELECT * FROM pendings_to_retry(10)"
    assert await world.connection.fetchval(due) is None
    match change:
        case "cancelled session":
            session = (await world.sessions(first))[0]["id"]
            await world.connection.fetchrow("SELECT * FROM cancel_session($1, 'staff-1')", session)
        case "revoked purchase":
            await world.adjust(first, status="revoked")
        case "more capacity":
            await world.trainer("trainer-1", weeklyCapacityMinutes=240)
        case "end of leave":
            await _age(world, timedelta(hours=1))
    assert await world.connection.fetchval(due) == waiting
    found = await retry_pendings(database, CODEC)
    assert found == (1 if change in {"revoked purchase", "more capacity"} else 0)


@pytest.mark.parametrize("change", ["cancelled session", "moved session", "refund", "revoked purchase", "departure"])
async def test_a_student_who_gets_time_back_is_looked_at_again(world: World, database: Database, change: str) -> None:
    await world.trainer("trainer-1")
    await world.trainer("trainer-2", courses=["course-0002"])
    first = await world.purchase("order-1")
    await world.assign(first)
    waiting = await world.purchase("order-2", course="course-0002")
    assert (await world.assign(waiting))["filter"] == "student-clash"
    elsewhere = await world.buy("order-3", student="student-2", course="course-0003")
    assert elsewhere["status"] == "pending"
    await _age(world, timedelta(minutes=1))
    await world.connection.execute("UPDATE trainer_offers SET freed_at = freed_at - interval '1 hour'")
    assert await retry_pendings(database, CODEC) == 0
    session = (await world.sessions(first))[0]
    match change:
        case "cancelled session":
            await world.connection.fetchrow("SELECT * FROM cancel_session($1, 'staff-1')", session["id"])
        case "moved session":
            later = session["starts_at"] + timedelta(days=1)
            moved = await world.connection.fetchrow("SELECT * FROM reschedule_session($1, $2)", session["id"], later)
            assert moved is not None
            assert moved["result"] == "ok"
        case "refund":
            await world.adjust(first, sessions_total=4)
        case "revoked purchase":
            await world.adjust(first, status="revoked")
        case "departure":
            job = await world.connection.fetchval("SELECT id FROM depart_trainer('trainer-1', 'ops-1', 'reassign')")
            await world.connection.fetchrow("SELECT * FROM depart_next($1, $2)", job, first)
    due = [row[0] for row in await world.connection.fetch("SELECT * FROM pendings_to_retry(10)")]
    assert waiting in due
    assert elsewhere["purchase_id"] not in due
    assert await retry_pendings(database, CODEC) == (1 if change in {"revoked purchase", "departure"} else 0)
    assert await world.connection.fetchval("SELECT * FROM pendings_to_retry(10)") is None


async def test_a_student_of_a_trainer_who_teaches_nothing_any_more_gets_time_back_too(world: World) -> None:
    await world.trainer("trainer-1")
    await world.trainer("trainer-2", courses=["course-0002"])
    first = await world.purchase("order-1")
    await world.assign(first)
    waiting = await world.purchase("order-2", course="course-0002")
    await world.assign(waiting)
    await world.trainer("trainer-1", courses=[])
    await _age(world, timedelta(minutes=1))
    await world.connection.execute("UPDATE trainer_offers SET freed_at = freed_at - interval '1 hour'")
    await world.adjust(first, status="revoked")
    assert await world.connection.fetchval("SELECT * FROM pendings_to_retry(10)") == waiting


async def test_a_pending_that_is_just_given_up_holds_nobody_up(world: World) -> None:
    await world.trainer("trainer-1")
    first = await world.purchase("order-1")
    await world.assign(first)
    await world.buy("order-2", course="course-0002")
    sweep = await asyncpg.connect(world.url)
    try:
        async with sweep.transaction():
            await sweep.execute("SELECT FROM trainer_allocations WHERE status = 'pending' FOR UPDATE")
            session = (await world.sessions(first))[0]["id"]
            cancelled = "SELECT result FROM cancel_session($1, 'staff-1')"
            assert await asyncio.wait_for(world.connection.fetchval(cancelled, session), 20) == "ok"
    finally:
        await sweep.close()


async def test_another_reason_is_told_the_same_one_is_not(world: World, database: Database) -> None:
    await world.buy("order-1")
    await world.trainer("trainer-1", gender="male", weeklySlots=[])
    await _age(world, timedelta(hours=1))
    assert await retry_pendings(database, CODEC) == 1
    await _age(world, timedelta(hours=1))
    assert await retry_pendings(database, CODEC) == 0
    assert [getattr(event, "reason", None) for event in await _told(world)] == ["slot"]


async def test_events_of_one_order_are_numbered_however_many_writers_there_are(
    world: World, database: Database
) -> None:
    await world.buy("order-1")
    await world.trainer("trainer-1")
    await _age(world, timedelta(hours=1))
    await asyncio.gather(*(retry_pendings(database, CODEC) for _ in range(6)))
    rows = await world.connection.fetch("SELECT order_id, order_seq FROM outbox")
    assert [tuple(row) for row in rows] == [("order-1", 1)]


async def test_the_loop_survives_a_failure_and_ends_when_told(world: World, database: Database) -> None:
    await world.buy("order-1")
    await world.trainer("trainer-1")
    stop = asyncio.Event()
    await world.connection.execute("ALTER TABLE outbox ADD CONSTRAINT broken CHECK (false) NOT VALID")
    loop = asyncio.create_task(look_after_pendings(database, CODEC, stop, interval_s=0.05))

    async def tried() -> bool:
        backends = "SELECT xact_rollback FROM pg_stat_database WHERE datname = current_database()"
        return bool(await world.connection.fetchval(backends))

    async def approved() -> bool:
        await world.connection.execute("UPDATE trainer_allocations SET aside_until = NULL")
        query = "SELECT EXISTS (SELECT FROM trainer_allocations WHERE status = 'approved')"
        return bool(await world.connection.fetchval(query))

    await eventually(tried)
    assert not await approved()
    await world.connection.execute("ALTER TABLE outbox DROP CONSTRAINT broken")
    await eventually(approved)
    stop.set()
    await loop
    assert len(await _told(world)) == 1


async def test_a_question_that_somebody_cancels_does_not_end_the_loop(world: World, database: Database) -> None:
    await world.buy("order-1")
    await world.trainer("trainer-1")
    query = "SELECT pg_get_functiondef('pendings_to_retry'::regproc)"
    definition = await world.connection.fetchval(query)
    await world.connection.execute(
        """
        CREATE SEQUENCE asked;
        GRANT USAGE ON SEQUENCE asked TO PUBLIC;
        CREATE OR REPLACE FUNCTION pendings_to_retry(rows_max integer) RETURNS SETOF uuid LANGUAGE plpgsql AS $$
        BEGIN
            PERFORM nextval('asked');
            RAISE EXCEPTION USING ERRCODE = 'query_canceled';
        END $$
        """
    )
    stop = asyncio.Event()
    loop = asyncio.create_task(look_after_pendings(database, CODEC, stop, interval_s=0.05))

    async def asked_twice() -> bool:
        assert not loop.done()
        return bool(await world.connection.fetchval("SELECT last_value > 1 FROM asked"))

    async def told() -> bool:
        return bool(await _told(world))

    await eventually(asked_twice)
    await world.connection.execute(definition)
    await eventually(told)
    stop.set()
    await loop


async def test_one_that_takes_too_long_is_set_aside_and_those_behind_it_get_their_turn(
    world: World, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow, quick = [(await world.buy(f"order-{n}", student=f"student-{n}"))["purchase_id"] for n in (1, 2)]
    await world.trainer("trainer-1")

    async def assign_in_time(transaction: Transaction, purchase_id: UUID) -> Decision:
        if purchase_id == slow:
            raise DeadlineError("no answer within 5 s", dependency="postgresql")
        return await assign(transaction, purchase_id)

    monkeypatch.setattr(pendings, "assign", assign_in_time)
    assert await retry_pendings(database, CODEC) == 1
    assert len(await world.sessions(quick)) == 10
    due = "SELECT * FROM pendings_to_retry(10)"
    assert await world.connection.fetchval(due) is None
    await world.connection.execute("UPDATE trainer_allocations SET aside_until = aside_until - interval '2 min'")
    assert await world.connection.fetchval(due) == slow
