"""How fast trainers are assigned, beside a single statement that inserts the same rows."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice
from uuid import UUID

import asyncpg
import orjson

from services.common.database import open_database
from services.common.events import purchase_id_of
from services.common.settings import Settings
from services.sandbox.catalogue import build_catalogue
from services.sandbox.demand import wishes
from services.sandbox.seeding import seed_catalogue

COURSES = 200
_TIER = 20
# Decisions of each connection before the time counts.
_WARM = 40
_ROLE = "coursepay_assignment_worker"
_BUY = """
INSERT INTO student_course_purchases
    (id, order_id, student_id, course_id, purchase_tier, sessions_total, purchase_date, expiry_date, metadata)
SELECT * FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::int[], $5::int[], $6::timestamptz[],
                     $7::timestamptz[], $8::jsonb[])
"""
_ASSIGN = "SELECT status FROM assign_trainer($1, 'auto')"
# The same allocation and sessions again, five years later: the same indexes and constraints, no decision.
_COPY = """
WITH again AS (
    INSERT INTO trainer_allocations (purchase_id, student_id, course_id, trainer_id, status, reason)
    SELECT purchase_id, student_id, course_id, trainer_id, 'cancelled', reason FROM trainer_allocations
     WHERE purchase_id = $1 AND status = 'approved'
    RETURNING id, purchase_id
)
INSERT INTO tutoring_sessions (allocation_id, sequence_no, trainer_id, student_id, course_id, starts_at, ends_at)
SELECT again.id, sequence_no, session.trainer_id, session.student_id, session.course_id,
       starts_at + interval '1826 days', ends_at + interval '1826 days'
  FROM again JOIN trainer_allocations first USING (purchase_id) JOIN tutoring_sessions session
       ON session.allocation_id = first.id
 WHERE first.status = 'approved'
"""
Connection = asyncpg.Connection


@dataclass(frozen=True, slots=True, kw_only=True)
class Speed:
    what: str
    trainers: int
    connections: int
    decisions: int
    rate: float
    p50_ms: float
    p95_ms: float
    p99_ms: float

    def line(self) -> dict[str, object]:
        return asdict(self)


async def seed(settings: Settings, trainers: int) -> None:
    catalogue = build_catalogue(courses=COURSES, trainers=trainers, seed=1)
    async with open_database(settings, role="coursepay_owner", application="bench", connections_max=1) as database:
        await seed_catalogue(database, catalogue)


async def measure(database_url: str, *, trainers: int, decisions: int, connections: int) -> Sequence[Speed]:
    """One at a time, then from all connections at once; then the bare insert of the rows of each."""
    bought = {
        name: await _buy(database_url, f"{name}-{trainers}", count, seed=number)
        for number, (name, count) in enumerate(
            (
                ("warm-alone", _WARM),
                ("alone", decisions),
                ("crowd", decisions),
                ("warm-crowd", _WARM * connections),
            )
        )
    }
    found = []
    for what, who, width, one in (
        ("assign", "alone", 1, _assign),
        ("assign", "crowd", connections, _assign),
        ("insert", "alone", 1, _copy),
        ("insert", "crowd", connections, _copy),
    ):
        ids = bought[who]
        took_s, each_ms = await _run(database_url, ids, width, one, warm=bought[f"warm-{who}"])
        p50, p95, p99 = (round(each_ms[int(len(each_ms) * share)], 2) for share in (0.5, 0.95, 0.99))
        found.append(
            Speed(
                what=what,
                trainers=trainers,
                connections=width,
                decisions=len(ids),
                rate=round(len(ids) / took_s, 1),
                p50_ms=p50,
                p95_ms=p95,
                p99_ms=p99,
            )
        )
    return found


async def _buy(database_url: str, name: str, count: int, *, seed: int) -> list[UUID]:
    now = datetime.now(UTC)
    chosen = list(islice(wishes(courses=COURSES, seed=seed, today=now.date()), count))
    orders = [f"{name}-{number}" for number in range(count)]
    connection = await asyncpg.connect(database_url)
    try:
        await connection.execute(
            _BUY,
            [purchase_id_of(order) for order in orders],
            orders,
            [f"{name}-{wish.student_id}" for wish in chosen],
            [wish.course_id for wish in chosen],
            [_TIER] * count,
            [now] * count,
            [now + timedelta(days=365)] * count,
            [orjson.dumps({"schedule": wish.schedule}).decode() for wish in chosen],
        )
        await connection.execute("ANALYZE student_course_purchases")
    finally:
        await connection.close()
    return [purchase_id_of(order) for order in orders]


async def _run(
    database_url: str,
    ids: Sequence[UUID],
    connections: int,
    one: Callable[[Connection, UUID], Awaitable[None]],
    *,
    warm: Sequence[UUID],
) -> tuple[float, list[float]]:
    """(seconds in all, milliseconds of each in order of size). A worker's connections live for long, so each has made
    its plans, from its share of `warm`, before the time counts.
    """
    each_ms: list[float] = []

    async def work(connection: Connection, left: Iterator[UUID]) -> None:
        for purchase in left:
            began = time.perf_counter()
            await one(connection, purchase)
            each_ms.append((time.perf_counter() - began) * 1000)

    settings = {"timezone": "UTC"}
    opened = [await asyncpg.connect(database_url, server_settings=settings) for _ in range(connections)]
    for connection in opened:
        if one is _assign:
            await connection.execute(f"SET ROLE {_ROLE}")
    for number, connection in enumerate(opened):
        await work(connection, iter(warm[number::connections]))
    each_ms.clear()
    left = iter(ids)
    began = time.perf_counter()
    await asyncio.gather(*(work(connection, left) for connection in opened))
    took_s = time.perf_counter() - began
    for connection in opened:
        await connection.close()
    return took_s, sorted(each_ms)


async def _assign(connection: Connection, purchase: UUID) -> None:
    await connection.fetchval(_ASSIGN, purchase)


async def _copy(connection: Connection, purchase: UUID) -> None:
    await connection.execute(_COPY, purchase)
