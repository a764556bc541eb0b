"""Counting sessions anew loses updates when two complete at once; adding what a statement changed does not."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from uuid import UUID

import asyncpg

from tests.support.rows import Connection, allocated_purchase, insert

CONNECTIONS = 8


async def _drift(connection: Connection) -> list[asyncpg.Record]:
    return await connection.fetch("SELECT * FROM progress_drift")


async def _in_parallel(database_url: str, work: Callable[[Connection, int], Awaitable[None]]) -> None:
    connections = await asyncio.gather(*(asyncpg.connect(database_url) for _ in range(CONNECTIONS)))
    try:
        await asyncio.gather(*(work(connection, number) for number, connection in enumerate(connections)))
    finally:
        await asyncio.gather(*(connection.close() for connection in connections))


async def _sessions(connection: Connection, purchases: int, each: int) -> list[UUID]:
    found: list[UUID] = []
    for number in range(purchases):
        _, allocation = await allocated_purchase(
            connection, student_id=f"student-{number}", purchase_tier=30, sessions_total=30
        )
        rows = [await insert(connection, "tutoring_sessions", allocation_id=allocation) for _ in range(each)]
        found.extend(row["id"] for row in rows)
    return found


async def test_different_sessions_of_the_same_students_completed_at_once(
    connection: Connection, database_url: str
) -> None:
    sessions = await _sessions(connection, purchases=3, each=24)
    dice = random.Random(1)
    dice.shuffle(sessions)

    async def complete(own: Connection, number: int) -> None:
        for session in sessions[number::CONNECTIONS]:
            await own.execute("UPDATE tutoring_sessions SET status = 'completed' WHERE id = $1", session)

    await _in_parallel(database_url, complete)
    counts = await connection.fetch("SELECT sessions_completed FROM student_course_progress")
    assert [row["sessions_completed"] for row in counts] == [24, 24, 24]
    assert await _drift(connection) == []


async def test_the_same_session_completed_by_everyone_counts_once(connection: Connection, database_url: str) -> None:
    (session,) = await _sessions(connection, purchases=1, each=1)

    async def complete(own: Connection, _number: int) -> None:
        for _ in range(10):
            await own.execute("UPDATE tutoring_sessions SET status = 'completed' WHERE id = $1", session)

    await _in_parallel(database_url, complete)
    assert await connection.fetchval("SELECT sessions_completed FROM student_course_progress") == 1
    assert await _drift(connection) == []


async def test_bulk_changes_in_opposite_directions_neither_drift_nor_deadlock(
    connection: Connection, database_url: str
) -> None:
    sessions = await _sessions(connection, purchases=6, each=6)

    async def flip(own: Connection, number: int) -> None:
        dice = random.Random(number)
        for _ in range(15):
            # Disjoint sessions of the same purchases: only the progress rows are fought over.
            chosen = sorted(dice.sample(sessions[number % 4 :: 4], k=5))
            status = dice.choice(("completed", "scheduled", "cancelled"))
            await own.execute("SELECT id FROM tutoring_sessions WHERE id = ANY ($1) ORDER BY id FOR UPDATE", chosen)
            await own.execute("UPDATE tutoring_sessions SET status = $2 WHERE id = ANY ($1)", chosen, status)

    async def flip_in_transaction(own: Connection, number: int) -> None:
        if number < 4:
            await flip(own, number)

    await _in_parallel(database_url, flip_in_transaction)
    assert await _drift(connection) == []


async def test_a_first_completion_beside_a_changed_total_shows_the_new_total(
    connection: Connection, database_url: str
) -> None:
    sessions = await _sessions(connection, purchases=40, each=1)
    purchases = await connection.fetch("SELECT id FROM student_course_purchases ORDER BY order_id")

    async def work(own: Connection, number: int) -> None:
        for index in range(number // 2, len(sessions), CONNECTIONS // 2):
            if number % 2:
                await own.execute("UPDATE tutoring_sessions SET status = 'completed' WHERE id = $1", sessions[index])
            else:
                await own.execute(
                    "UPDATE student_course_purchases SET sessions_total = 7 WHERE id = $1", purchases[index]["id"]
                )

    await _in_parallel(database_url, work)
    assert await _drift(connection) == []


async def test_an_uncommitted_total_is_waited_for(connection: Connection, database_url: str) -> None:
    (session,) = await _sessions(connection, purchases=1, each=1)
    other = await asyncpg.connect(database_url)
    try:
        changing = connection.transaction()
        await changing.start()
        await connection.execute("UPDATE student_course_purchases SET sessions_total = 7")
        completing = asyncio.create_task(
            other.execute("UPDATE tutoring_sessions SET status = 'completed' WHERE id = $1", session)
        )
        done, _ = await asyncio.wait([completing], timeout=0.3)
        assert not done
        await changing.commit()
        await completing
    finally:
        await other.close()
    assert await connection.fetchval("SELECT sessions_total FROM student_course_progress") == 7


async def test_rebuilding_waits_for_what_is_being_counted(connection: Connection, database_url: str) -> None:
    """Else it would write what it had counted before over what was added meanwhile."""
    first, second = await _sessions(connection, purchases=1, each=2)
    await connection.execute("SET session_replication_role = replica")
    await connection.execute(
        "UPDATE tutoring_sessions SET status = 'completed', completed_at = now() WHERE id = $1", first
    )
    await connection.execute("RESET session_replication_role")
    assert len(await _drift(connection)) == 1
    other = await asyncpg.connect(database_url)
    try:
        completing = connection.transaction()
        await completing.start()
        await connection.execute("UPDATE tutoring_sessions SET status = 'completed' WHERE id = $1", second)
        rebuilding = asyncio.create_task(other.execute("SELECT rebuild_progress()"))
        done, _ = await asyncio.wait([rebuilding], timeout=0.3)
        assert not done
        await completing.commit()
        await rebuilding
    finally:
        await other.close()
    assert await connection.fetchval("SELECT sessions_completed FROM student_course_progress") == 2
    assert await _drift(connection) == []
