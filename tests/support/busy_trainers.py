"""Many trainers of one course who all teach somebody on the same dates, made by a few statements."""

import orjson

from tests.support.assignment import COURSE, MONDAY, TRAINER, World

_TRAINERS = """
SELECT upsert_trainers(jsonb_agg($1::jsonb || jsonb_build_object('trainerId', $2 || '-' || lpad(n::text, 5, '0'))))
  FROM generate_series(1, $3::integer) AS n
"""
# An hour at 18:00 in India on each of the days after MONDAY.
_SESSIONS = """
WITH bought AS (
    INSERT INTO student_course_purchases (order_id, student_id, course_id, purchase_tier, sessions_total, purchase_date,
                                          expiry_date)
    SELECT 'order-of-' || trainer_id, 'student-of-' || trainer_id, $2, 10, 10, now(), now() + interval '2 years'
      FROM trainers WHERE trainer_id LIKE $1 || '-%'
    RETURNING *
), live AS (
    INSERT INTO trainer_allocations (purchase_id, student_id, course_id, trainer_id, status)
    SELECT id, student_id, course_id, substr(student_id, 12), 'approved' FROM bought
    RETURNING *
)
INSERT INTO tutoring_sessions (allocation_id, sequence_no, trainer_id, student_id, course_id, starts_at, ends_at)
SELECT live.id, number, trainer_id, student_id, course_id, starts_at, starts_at + interval '1 h'
  FROM live, unnest($4::integer[]) WITH ORDINALITY AS given (day, number),
       LATERAL (SELECT ($3::date + day + time '18:00') AT TIME ZONE 'Asia/Kolkata') AS planned (starts_at)
"""


async def add_busy_trainers(world: World, name: str, number: int, days: list[int], **overrides: object) -> None:
    """`number` trainers, `name`-00001 and so on, who teach at 18:00 on these days after MONDAY and nothing else; that
    adds nothing to their load. `overrides`: of the definition of each.
    """
    await world.connection.execute(_TRAINERS, orjson.dumps({**TRAINER, **overrides}).decode(), name, number)
    await world.connection.execute(_SESSIONS, name, COURSE, MONDAY, days)
