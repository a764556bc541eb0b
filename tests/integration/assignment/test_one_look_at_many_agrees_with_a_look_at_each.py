import random
from datetime import timedelta

from tests.support.assignment import MONDAY, World
from tests.support.busy_trainers import add_busy_trainers

_TRAINERS = 120
_SEED = 20271101
_AGREE = """
WITH wished AS (SELECT wish FROM student_course_purchases b, wishes_of(b, NULL, 10) AS wish WHERE b.id = $1),
     ranked AS (SELECT wish, (next_page(wish, NULL, false, -1, '', 1000)).ranked FROM wished),
     likely AS (SELECT ranked[number].trainer_id, verdict FROM ranked, who_may_be_free(wish, ranked))
SELECT offer.trainer_id, one.verdict, likely.verdict AS among_all, (bookable_dates(wish, offer.trainer_id)).failed
  FROM ranked CROSS JOIN generate_subscripts(ranked, 1) AS number CROSS JOIN unnest(ranked[number:number]) AS offer
       CROSS JOIN who_may_be_free(wish, ranked[number:number]) AS one LEFT JOIN likely USING (trainer_id)
"""
_HALF_HOURS = """
UPDATE tutoring_sessions SET ends_at = starts_at + interval '20 minutes' WHERE trainer_id = $1
"""
_SECOND_HALVES = """
INSERT INTO tutoring_sessions (allocation_id, sequence_no, trainer_id, student_id, course_id, starts_at, ends_at)
SELECT allocation_id, 100 + sequence_no, trainer_id, student_id, course_id, starts_at + interval '30 minutes',
       starts_at + interval '1 hour'
  FROM tutoring_sessions WHERE trainer_id = $1
"""


async def test_who_is_left_out_could_not_and_who_is_called_free_can(world: World) -> None:
    dice = random.Random(_SEED)
    # Mondays and Wednesdays, the ten wanted ones and the two spare ones.
    days = [7 * week + day for week in range(6) for day in (0, 2)]
    for number in range(_TRAINERS):
        name = f"trainer-{number}"
        ends = dice.choice(("21:00", "21:00", "18:45"))
        slots = [{"weekday": day, "from": "16:00", "to": ends} for day in range(1, 8)]
        off = [_day_off(day) for day in dice.sample(days, dice.choice((0, 0, 0, 1, 2, 3)))]
        taken = dice.sample(days, dice.choice((0, 0, 1, 1, 2, 3)))
        await add_busy_trainers(world, name, 1, taken, weeklySlots=slots, timeOff=off)
        if dice.random() < 0.3:
            # Two sessions in the way of one date.
            await world.connection.execute(_HALF_HOURS, f"{name}-00001")
            await world.connection.execute(_SECOND_HALVES, f"{name}-00001")
    rows = await world.connection.fetch(_AGREE, await world.purchase("order-1"))
    assert len(rows) == _TRAINERS
    for row in rows:
        if row["verdict"] == "unsure":
            assert row["failed"] in {None, "slot"}
        else:
            assert row["verdict"] == (row["failed"] or "free"), dict(row)
        assert row["among_all"] in {None, row["verdict"]}
        assert row["among_all"] is not None or row["verdict"] in {"leave", "slot"}
    # All of it happened.
    assert {row["verdict"] for row in rows} == {"free", "unsure", "leave", "slot"}
    assert {row["failed"] for row in rows if row["verdict"] == "unsure"} == {None, "slot"}


def _day_off(day: int) -> dict[str, str]:
    return {
        "startsAt": f"{MONDAY + timedelta(days=day)}T00:00:00+05:30",
        "endsAt": f"{MONDAY + timedelta(days=day)}T23:59:00+05:30",
    }
