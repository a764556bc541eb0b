"""Whatever is done to sessions, in whatever order and however many in one statement, progress equals a recount."""

from typing import Any
from uuid import UUID

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.rows import Connection, allocated_purchase, insert

PURCHASES = 3
SESSIONS = 4
STATUSES = ("scheduled", "completed", "cancelled")

_some = st.sets(st.integers(0, PURCHASES * SESSIONS - 1), min_size=1, max_size=6)
_steps = st.lists(
    st.one_of(
        st.tuples(st.just("set"), _some, st.sampled_from(STATUSES)),
        st.tuples(st.just("swap"), _some, st.none()),
        st.tuples(st.just("total"), st.integers(0, PURCHASES - 1), st.integers(0, 10)),
        st.tuples(st.just("delete"), st.integers(0, PURCHASES * SESSIONS - 1), st.none()),
    ),
    max_size=12,
)


_SET = "UPDATE tutoring_sessions SET status = $2 WHERE id = ANY ($1)"
_SWAP = """
UPDATE tutoring_sessions SET status = CASE status WHEN 'completed' THEN 'scheduled' ELSE 'completed' END
 WHERE id = ANY ($1)
"""
_TOTAL = "UPDATE student_course_purchases SET sessions_total = $2 WHERE id = $1"
_DELETE = "DELETE FROM tutoring_sessions WHERE id = $1"


# The database is the same for all examples; each ends with the rollback of its transaction.
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=_steps)
async def test_after_every_step(connection: Connection, steps: list[tuple[str, Any, Any]]) -> None:
    example = connection.transaction()
    await example.start()
    try:
        purchases, sessions = await _world(connection)
        for kind, where, what in steps:
            match kind:
                case "set":
                    await connection.execute(_SET, [sessions[index] for index in where], what)
                case "swap":
                    await connection.execute(_SWAP, [sessions[index] for index in where])
                case "total":
                    await connection.execute(_TOTAL, purchases[where], what)
                case _:
                    await connection.execute(_DELETE, sessions[where])
            assert await connection.fetch("SELECT * FROM progress_drift") == [], kind
    finally:
        await example.rollback()


async def _world(connection: Connection) -> tuple[list[UUID], list[UUID]]:
    purchases: list[UUID] = []
    sessions: list[UUID] = []
    for number in range(PURCHASES):
        purchase, allocation = await allocated_purchase(connection, student_id=f"student-{number}")
        purchases.append(purchase)
        rows = [await insert(connection, "tutoring_sessions", allocation_id=allocation) for _ in range(SESSIONS)]
        sessions.extend(row["id"] for row in rows)
    return purchases, sessions
