"""Whatever is bought, cancelled, moved, frozen or left, in whatever order: nobody is booked twice or miscounted."""

from datetime import timedelta
from typing import Any
from uuid import UUID

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.support.assignment import MONDAY, World

_TRAINERS = 3
_PURCHASES = 4
_purchases = st.integers(0, _PURCHASES - 1)
_trainers = st.integers(0, _TRAINERS - 1)
_wishes = st.fixed_dictionaries(
    {
        "timeSlot": st.sampled_from(("17:30", "18:00", "18:30")),
        "weekdays": st.sampled_from(([1], [3], [1, 3])),
        "flexibility": st.sampled_from(([], ["time_30"], ["time_60", "weekday"])),
    }
)
_steps = st.lists(
    st.one_of(
        st.tuples(st.just("assign"), _purchases, st.none()),
        st.tuples(st.just("cancel"), _purchases, st.integers(0, 9)),
        st.tuples(st.just("begin"), _purchases, st.none()),
        st.tuples(st.just("move"), _purchases, _trainers),
        st.tuples(st.just("total"), _purchases, st.integers(0, 10)),
        st.tuples(st.just("status"), _purchases, st.sampled_from(("active", "frozen", "revoked"))),
        st.tuples(st.just("leave"), _trainers, st.none()),
        st.tuples(st.just("come"), _trainers, st.sampled_from((60, 120, 1200))),
    ),
    min_size=6,
    max_size=18,
)
_SESSION = """
SELECT session.id FROM tutoring_sessions session JOIN trainer_allocations made ON made.id = session.allocation_id
 WHERE made.purchase_id = $1 AND session.status = 'scheduled' ORDER BY session.starts_at OFFSET $2 LIMIT 1
"""
# The first of the live allocation, as if it were going on for this minute; one after another, for nobody is in two.
_BEGIN = """
UPDATE tutoring_sessions SET starts_at = now() - make_interval(mins => 10 * $2),
                             ends_at = now() - make_interval(mins => 10 * $2 - 5)
 WHERE id = (SELECT session.id FROM tutoring_sessions session JOIN trainer_allocations made
                    ON made.id = session.allocation_id
              WHERE made.purchase_id = $1 AND made.status = 'approved' AND session.status = 'scheduled'
                AND session.starts_at > now() ORDER BY session.starts_at LIMIT 1)
"""
_LIVE = "SELECT id FROM trainer_allocations WHERE purchase_id = $1 AND status = 'approved'"
_OVERLAPS = """
SELECT count(*) FROM tutoring_sessions one JOIN tutoring_sessions other
       ON one.id < other.id AND one.status <> 'cancelled' AND other.status <> 'cancelled'
          AND tstzrange(one.starts_at, one.ends_at) && tstzrange(other.starts_at, other.ends_at)
          AND (one.trainer_id = other.trainer_id OR one.student_id = other.student_id)
"""
_MISCOUNTED = """
SELECT bought.order_id, sessions_missing(bought) AS missing, live.reason ->> 'shortfall' AS shortfall
  FROM student_course_purchases bought JOIN trainer_allocations live ON live.purchase_id = bought.id
 WHERE bought.status = 'active' AND live.status = 'approved'
   AND sessions_missing(bought) <> COALESCE((live.reason ->> 'shortfall')::integer, 0)
"""
_WITH_ONE_WHO_LEFT = """
SELECT count(*) FROM tutoring_sessions session JOIN trainers USING (trainer_id)
 WHERE NOT active AND session.status = 'scheduled' AND session.starts_at > now()
"""


# The database is the same for all examples; each ends with the rollback of its transaction.
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@example(
    wishes=[{"timeSlot": "18:00", "weekdays": [1], "flexibility": []}] * _PURCHASES,
    steps=[("assign", 0, None), ("cancel", 0, 0), ("cancel", 0, 0), ("total", 0, 9)],
)
@given(wishes=st.lists(_wishes, min_size=_PURCHASES, max_size=_PURCHASES), steps=_steps)
async def test_after_every_step(world: World, wishes: list[dict[str, Any]], steps: list[tuple[str, int, Any]]) -> None:
    transaction = world.connection.transaction()
    await transaction.start()
    try:
        for number in range(_TRAINERS):
            await world.trainer(f"trainer-{number}", weeklyCapacityMinutes=120)
        purchases = [
            await world.purchase(f"order-{number}", student=f"student-{number % 2}", **wish)
            for number, wish in enumerate(wishes)
        ]
        # A week more than the slowest needs, so that not every cancelled session finds another date.
        await world.connection.execute(
            "UPDATE student_course_purchases SET expiry_date = $1::date", MONDAY + timedelta(weeks=11)
        )
        for number, step in enumerate(steps):
            await _take(world, purchases, number, step)
            assert await world.connection.fetchval(_OVERLAPS) == 0, step
            assert not await world.drifted(), step
            assert not await world.connection.fetch(_MISCOUNTED), step
            assert await world.connection.fetchval(_WITH_ONE_WHO_LEFT) == 0, step
    finally:
        await transaction.rollback()


async def _take(world: World, purchases: list[UUID], number: int, step: tuple[str, int, Any]) -> None:
    kind, which, what = step
    connection = world.connection
    match kind:
        case "assign":
            await world.assign(purchases[which])
        case "cancel":
            session = await connection.fetchval(_SESSION, purchases[which], what)
            await connection.execute("SELECT cancel_session($1, 'staff-1')", session)
        case "begin":
            await connection.execute(_BEGIN, purchases[which], number + 1)
        case "move":
            live = await connection.fetchval(_LIVE, purchases[which])
            await connection.execute("SELECT move_allocation($1, $2, 'staff-1')", live, f"trainer-{what}")
        case "total":
            await world.adjust(purchases[which], sessions_total=what)
        case "status":
            await world.adjust(purchases[which], status=what)
        case "leave":
            await _leave(world, f"trainer-{which}")
        case _:
            await world.trainer(f"trainer-{which}", weeklyCapacityMinutes=what)


async def _leave(world: World, trainer: str) -> None:
    job = await world.connection.fetchval("SELECT id FROM depart_trainer($1, 'ops-1', 'reassign')", trainer)
    for row in await world.connection.fetch("SELECT * FROM departing($1, 10)", job):
        await world.connection.execute("SELECT depart_next($1, $2)", job, row[0])
    await world.connection.execute("SELECT finish_departure($1)", job)
