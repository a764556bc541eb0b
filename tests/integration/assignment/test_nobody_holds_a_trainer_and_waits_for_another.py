import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

import asyncpg

from tests.support.assignment import World
from tests.support.eventually import eventually

_WAITING = """
SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'
"""


@asynccontextmanager
async def _other(world: World) -> "AsyncIterator[asyncpg.Connection[asyncpg.Record]]":
    connection = await asyncpg.connect(world.url)
    try:
        yield connection
    finally:
        await connection.close()


async def _wait_for_locks(world: World, count: int) -> None:
    async def waiting() -> bool:
        return bool(await world.connection.fetchval(_WAITING) == count)

    await eventually(waiting)


async def _move(connection: "asyncpg.Connection[asyncpg.Record]", allocation: UUID, trainer: str) -> str:
    return str(await connection.fetchval("SELECT result FROM move_allocation($1, $2, 'staff-1')", allocation, trainer))


async def test_two_moves_in_opposite_directions_both_succeed(world: World) -> None:
    """Each is held up between its first trainer and its second, which is where they would wait for each other."""
    allocations = []
    for number in (1, 2):
        await world.trainer(f"trainer-{number}")
        purchase = await world.purchase(f"order-{number}", student=f"student-{number}", timeSlot=f"{16 + number}:00")
        told = await world.connection.fetchrow(
            "SELECT * FROM allocate_trainer($1, $2, 'staff-1')", purchase, f"trainer-{number}"
        )
        assert told is not None
        assert told["result"] == "ok"
        allocations.append(told["allocation_id"])
    async with _other(world) as holder, _other(world) as one, _other(world) as two:
        async with holder.transaction():
            await holder.execute("SELECT FROM tutoring_sessions FOR UPDATE")
            first = asyncio.create_task(_move(one, allocations[0], "trainer-2"))
            second = asyncio.create_task(_move(two, allocations[1], "trainer-1"))
            await _wait_for_locks(world, 2)
        assert (await first, await second) == ("ok", "ok")
    assert not await world.drifted()


async def test_a_candidate_who_was_taken_meanwhile_is_let_go_of(world: World) -> None:
    await world.trainer("trainer-1")
    # Works at any time, and so is spared.
    await world.trainer("trainer-2", weeklySlots=[{"weekday": day, "from": "00:00", "to": "24:00"} for day in (1, 3)])
    await world.connection.execute("UPDATE trainer_offers SET breadth = 1 WHERE trainer_id = 'trainer-2'")
    purchase = await world.purchase("order-1")
    async with _other(world) as faster, _other(world) as deciding, deciding.transaction():
        async with faster.transaction():
            await faster.execute("UPDATE trainers SET version = version + 1 WHERE trainer_id = 'trainer-1'")
            decision = asyncio.create_task(
                deciding.fetchrow("SELECT trainer_id FROM assign_trainer($1, 'auto')", purchase)
            )
            await _wait_for_locks(world, 1)
        found = await decision
        assert found is not None
        assert found["trainer_id"] == "trainer-2"
        # The decision is not committed yet.
        lock = "SELECT trainer_id FROM trainers WHERE trainer_id = 'trainer-1' FOR NO KEY UPDATE NOWAIT"
        assert await world.connection.fetchval(lock) == "trainer-1"
