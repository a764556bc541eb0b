from datetime import datetime, timedelta
from uuid import UUID

from tests.support.assignment import MONDAY, World, local


async def _occupy(
    world: World, days: list[int], *, time: str = "18:00", trainer: str = "trainer-1", whose: str | None = None
) -> None:
    """One session on each of these days after MONDAY, of the student `whose` or of somebody else."""
    for day in days:
        other = f"other-{trainer}-{day}-{time[:2]}"
        student = whose or other
        purchase = await world.purchase(f"order-{other}", student=student)
        await world.connection.execute(
            """
            WITH made AS (INSERT INTO trainer_allocations (purchase_id, student_id, course_id, trainer_id, status)
                          VALUES ($1, $2, 'course-0001', $3, 'approved') RETURNING id)
            INSERT INTO tutoring_sessions (allocation_id, sequence_no, trainer_id, student_id, course_id, starts_at,
                                           ends_at)
            SELECT id, 1, $3, $2, 'course-0001', $4::timestamp AT TIME ZONE 'Asia/Kolkata',
                   $4::timestamp AT TIME ZONE 'Asia/Kolkata' + interval '1 h'
              FROM made
            """,
            purchase,
            student,
            trainer,
            datetime.fromisoformat(f"{MONDAY + timedelta(days=day)}T{time}:00"),
        )


async def _starts(world: World, purchase: UUID) -> list[str]:
    return [local(start).strftime("%m-%d %H:%M") for start in await world.starts(purchase)]


async def test_one_date_of_ten_is_held_after_the_last_in_the_same_slot(world: World) -> None:
    await world.trainer("trainer-1")
    await _occupy(world, [7])
    purchase = await world.purchase("order-1")
    assert (await world.assign(purchase))["trainer_id"] == "trainer-1"
    starts = await _starts(world, purchase)
    assert len(starts) == 10
    assert "11-08 18:00" not in starts
    # Five weeks of Mondays and Wednesdays, and the Monday after them.
    assert starts[-1] == "12-06 18:00"
    assert (await world.reason(purchase))["movedSessions"] == 1


async def test_two_dates_of_ten_are_too_many_for_the_trainer_but_not_two_of_twenty(world: World) -> None:
    await world.trainer("trainer-1")
    await _occupy(world, [7, 9])
    assert (await world.buy("order-1"))["filter"] == "slot"
    purchase = await world.purchase("order-2", student="student-2", tier=20)
    assert (await world.assign(purchase))["result"] == "ok"
    assert (await world.reason(purchase))["movedSessions"] == 2


async def test_one_date_of_ten_on_which_the_student_is_busy_is_held_after_the_last(world: World) -> None:
    await world.trainer("trainer-1")
    await _occupy(world, [7], trainer="trainer-2", whose="student-1")
    purchase = await world.purchase("order-1")
    assert (await world.assign(purchase))["trainer_id"] == "trainer-1"
    starts = await _starts(world, purchase)
    assert len(starts) == 10
    assert "11-08 18:00" not in starts
    assert starts[-1] == "12-06 18:00"
    assert (await world.reason(purchase))["movedSessions"] == 1


async def test_two_dates_of_ten_on_which_the_student_is_busy_are_a_clash(world: World) -> None:
    await world.trainer("trainer-1")
    await _occupy(world, [7, 9], trainer="trainer-2", whose="student-1")
    assert (await world.buy("order-1"))["filter"] == "student-clash"


async def test_the_students_dates_and_the_trainers_share_the_spare_ones(world: World) -> None:
    await world.trainer("trainer-1")
    await _occupy(world, [7], trainer="trainer-2", whose="student-1")
    await _occupy(world, [9])
    purchase = await world.purchase("order-1")
    assert (await world.assign(purchase))["trainer_id"] == "trainer-1"
    starts = await _starts(world, purchase)
    assert not {"11-08 18:00", "11-10 18:00"} & set(starts)
    assert starts[-1] == "12-08 18:00"
    assert (await world.reason(purchase))["movedSessions"] == 2


async def test_a_trainer_is_kept_for_one_taken_date_rather_than_the_next_one_taken(world: World) -> None:
    await world.trainer("trainer-1", weeklyCapacityMinutes=2400)
    await world.trainer("trainer-2", weeklyCapacityMinutes=240)
    # The second is loaded, so the first is tried first, although one of the dates is taken.
    assert (await world.buy("order-0", student="student-0", timeSlot="16:00"))["trainer_id"] is not None
    await world.connection.execute("UPDATE trainers SET load_minutes = 120 WHERE trainer_id = 'trainer-2'")
    await world.connection.execute("UPDATE trainer_offers SET load_minutes = 120 WHERE trainer_id = 'trainer-2'")
    await _occupy(world, [0])
    assert (await world.buy("order-1"))["trainer_id"] == "trainer-1"


async def test_without_dates_to_spare_it_is_held_beside_its_time_if_the_student_allows_that(world: World) -> None:
    await world.trainer("trainer-1")
    await _occupy(world, [7])
    # The purchase ends with the tenth date: there is no spare one.
    tenth = (MONDAY + timedelta(days=31)).isoformat()
    for order, flexibility, expected in (("order-1", [], None), ("order-2", ["time_60"], "11-08 17:00")):
        purchase = await world.purchase(order, student=order, flexibility=flexibility)
        await world.connection.execute(
            "UPDATE student_course_purchases SET expiry_date = ($2::text || ' 00:00+05:30')::timestamptz WHERE id = $1",
            purchase,
            tenth,
        )
        decision = await world.assign(purchase)
        if expected is None:
            assert decision["filter"] == "slot"
        else:
            starts = await _starts(world, purchase)
            assert len(starts) == 10
            assert expected in starts
            assert sum(start.endswith("18:00") for start in starts) == 9
            assert not (await world.reason(purchase))["relaxation"]


async def test_neither_the_student_nor_the_trainer_is_moved_into_another_session(world: World) -> None:
    await world.trainer("trainer-1")
    await _occupy(world, [7])
    await _occupy(world, [7], time="17:00")
    await _occupy(world, [7], time="19:00")
    purchase = await world.purchase("order-1", flexibility=["time_60"])
    await world.connection.execute(
        "UPDATE student_course_purchases SET expiry_date = $2 WHERE id = $1",
        purchase,
        (await world.connection.fetchval("SELECT $1::date::timestamptz", MONDAY + timedelta(days=31))),
    )
    decision = await world.assign(purchase)
    # Nobody has a free hour beside it on that day; the whole pattern an hour earlier is what remains.
    assert decision["status"] == "approved"
    assert (await world.reason(purchase))["relaxation"] == "time_60"


async def test_a_spare_date_on_which_the_student_is_busy_is_not_counted_on(world: World) -> None:
    await world.trainer("trainer-1", timeOff=[_day_off(2)])
    # The first spare date is taken by another course of the student, the second one is free.
    await _occupy(world, [35], trainer="trainer-2", whose="student-1")
    purchase = await world.purchase("order-1")
    assert (await world.assign(purchase))["trainer_id"] == "trainer-1"
    starts = await _starts(world, purchase)
    assert len(starts) == 10
    assert "12-06 18:00" not in starts
    assert starts[-1] == "12-08 18:00"


async def test_what_one_trainer_lacks_does_not_bar_what_the_student_allows(world: World) -> None:
    await world.trainer("a-woman", gender="female", timeOff=[_day_off(2)])
    await world.trainer("a-man", gender="male")
    # No spare date is left to the woman for her day off.
    await _occupy(world, [35, 37], trainer="trainer-2", whose="student-1")
    purchase = await world.purchase("order-1", preferredGender="female", flexibility=["gender"])
    assert (await world.assign(purchase))["trainer_id"] == "a-man"
    assert (await world.reason(purchase))["relaxation"] == "gender"


def _day_off(day: int) -> dict[str, str]:
    return {
        "startsAt": f"{MONDAY + timedelta(days=day)}T00:00:00+05:30",
        "endsAt": f"{MONDAY + timedelta(days=day)}T23:59:00+05:30",
    }
