import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar
from uuid import UUID

import asyncpg

from tests.support.assignment import COURSE, World

Result = TypeVar("Result")
Connection = "asyncpg.Connection[asyncpg.Record]"
_OVERLAPS = """
SELECT count(*)
  FROM tutoring_sessions one JOIN tutoring_sessions other
       ON one.id < other.id AND one.status <> 'cancelled' AND other.status <> 'cancelled'
          AND (one.trainer_id = other.trainer_id AND one.held && other.held
               OR one.student_id = other.student_id
                  AND tstzrange(one.starts_at, one.ends_at) && tstzrange(other.starts_at, other.ends_at))
"""


async def _at_once(
    world: World, works: Sequence[Callable[["asyncpg.Pool[asyncpg.Record]"], Awaitable[Result]]], connections: int
) -> list[Result]:
    async with asyncpg.create_pool(world.url, min_size=connections, max_size=connections) as pool:
        return await asyncio.gather(*(work(pool) for work in works))


def _assigning(purchase: UUID) -> Callable[["asyncpg.Pool[asyncpg.Record]"], Awaitable[asyncpg.Record]]:
    async def work(pool: "asyncpg.Pool[asyncpg.Record]") -> asyncpg.Record:
        row = await pool.fetchrow("SELECT * FROM assign_trainer($1, 'auto')", purchase)
        assert row is not None
        return row

    return work


async def _is_whole(world: World) -> None:
    assert await world.connection.fetchval(_OVERLAPS) == 0
    assert not await world.drifted()
    wrong = await world.connection.fetch(
        """
        SELECT bought.order_id, allocation.status, count(session.id)
          FROM student_course_purchases bought LEFT JOIN trainer_allocations allocation
               ON allocation.purchase_id = bought.id AND allocation.status <> 'cancelled'
               LEFT JOIN tutoring_sessions session
               ON session.allocation_id = allocation.id AND session.status <> 'cancelled'
         GROUP BY bought.order_id, allocation.status, bought.sessions_total, allocation.reason
        HAVING allocation.status IS NULL
            OR count(session.id) + COALESCE((allocation.reason ->> 'shortfall')::int, 0)
               <> CASE allocation.status WHEN 'approved' THEN bought.sessions_total ELSE 0 END
        """
    )
    assert not wrong


async def test_forty_at_once_for_one_slot_of_one_trainer(world: World) -> None:
    await world.trainer("trainer-1")
    purchases = [await world.purchase(f"order-{n}", student=f"student-{n}") for n in range(40)]
    decisions = await _at_once(world, [_assigning(purchase) for purchase in purchases], 16)
    assert Counter(row["status"] for row in decisions) == {"approved": 1, "pending": 39}
    assert {row["filter"] for row in decisions if row["status"] == "pending"} == {"slot"}
    await _is_whole(world)


async def test_forty_at_once_fill_exactly_the_capacity(world: World) -> None:
    await world.trainer(
        "trainer-1",
        weeklyCapacityMinutes=7 * 60 + 30,
        weeklySlots=[{"weekday": day, "from": "00:00", "to": "24:00"} for day in range(1, 8)],
    )
    purchases = [
        await world.purchase(f"order-{n}", student=f"student-{n}", weekdays=[n % 7 + 1], timeSlot=f"{n // 7 + 10}:00")
        for n in range(40)
    ]
    decisions = await _at_once(world, [_assigning(purchase) for purchase in purchases], 16)
    assert Counter(row["status"] for row in decisions) == {"approved": 7, "pending": 33}
    assert {row["filter"] for row in decisions if row["status"] == "pending"} == {"capacity"}
    assert await world.load("trainer-1") == 420
    await _is_whole(world)


async def test_the_same_event_many_times_at_once_is_one_allocation(world: World) -> None:
    await world.trainer("trainer-1")
    purchase = await world.purchase("order-1")
    decisions = await _at_once(world, [_assigning(purchase)] * 20, 16)
    assert Counter(row["result"] for row in decisions) == {"ok": 1, "duplicate": 19}
    await _is_whole(world)


async def test_a_student_cannot_be_in_two_courses_at_a_time(world: World) -> None:
    await world.trainer("trainer-1")
    await world.trainer("trainer-2", courses=["course-0002"])
    purchases = [await world.purchase("order-1"), await world.purchase("order-2", course="course-0002")]
    decisions = await _at_once(world, [_assigning(purchase) for purchase in purchases], 2)
    assert Counter(row["status"] for row in decisions) == {"approved": 1, "pending": 1}
    assert {row["filter"] for row in decisions} == {None, "student-clash"}
    await _is_whole(world)


async def test_sixteen_connections_in_a_starved_world(world: World) -> None:
    """Few trainers, few slots, students with several courses; assigned, cancelled, replaced and adjusted at once."""
    dice = random.Random(7)
    courses = [COURSE, "course-0002"]
    for number in range(6):
        await world.trainer(f"trainer-{number}", courses=courses, weeklyCapacityMinutes=600)
    purchases = [
        await world.purchase(
            f"order-{n}",
            student=f"student-{n % 50}",
            course=dice.choice(courses),
            weekdays=dice.sample(range(1, 8), dice.choice((1, 2))),
            timeSlot=dice.choice(("17:00", "17:30", "18:00", "19:00")),
            flexibility=dice.choice(([], ["time_30"], ["time_60", "weekday"])),
        )
        for n in range(100)
    ]

    def disturbing(purchase: UUID) -> Callable[["asyncpg.Pool[asyncpg.Record]"], Awaitable[object]]:
        async def work(pool: "asyncpg.Pool[asyncpg.Record]") -> object:
            await _assigning(purchase)(pool)
            session = await pool.fetchval(
                """
                SELECT id FROM tutoring_sessions WHERE status = 'scheduled' AND allocation_id IN
                       (SELECT id FROM trainer_allocations WHERE purchase_id = $1) LIMIT 1
                """,
                purchase,
            )
            if session is not None:
                await pool.fetchrow("SELECT * FROM cancel_session($1, 'staff-1')", session)
            await pool.execute("UPDATE student_course_purchases SET sessions_total = 7 WHERE id = $1", purchase)
            return await pool.fetchrow("SELECT * FROM adjust_allocation($1)", purchase)

        return work

    works = [disturbing(purchase) for purchase in purchases]
    await _at_once(world, works, 16)
    await _is_whole(world)
    counts = await world.connection.fetch("SELECT status, count(*) FROM trainer_allocations GROUP BY status")
    assert {row["status"] for row in counts} == {"approved", "pending"}


async def test_two_operators_decide_at_once_and_one_wins(world: World) -> None:
    await world.trainer("trainer-1", weeklySlots=[])
    pending = await world.buy("order-1")
    for number in (1, 2):
        await world.trainer(f"trainer-{number}")

    def approving(number: int) -> Callable[["asyncpg.Pool[asyncpg.Record]"], Awaitable[asyncpg.Record]]:
        async def work(pool: "asyncpg.Pool[asyncpg.Record]") -> asyncpg.Record:
            query, subject = (
                ("SELECT * FROM approve_allocation($1, $2, $3)", pending["allocation_id"])
                if number == 1
                else ("SELECT * FROM allocate_trainer($1, $2, $3)", pending["purchase_id"])
            )
            row = await pool.fetchrow(query, subject, f"trainer-{number}", f"staff-{number}")
            assert row is not None
            return row

        return work

    decisions = await _at_once(world, [approving(1), approving(2)], 2)
    won, lost = sorted(decisions, key=lambda row: row["result"], reverse=True)
    assert (won["result"], lost["result"]) == ("ok", "decided")
    assert (lost["decided_by"], lost["trainer_id"]) == (won["decided_by"], won["trainer_id"])
    assert won["decided_by"].removeprefix("staff-") == won["trainer_id"].removeprefix("trainer-")
    await _is_whole(world)
