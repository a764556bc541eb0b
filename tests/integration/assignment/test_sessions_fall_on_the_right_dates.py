from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

from tests.support.assignment import COURSE, MONDAY, World, local

ALL_DAY = [{"weekday": day, "from": "00:00", "to": "24:00"} for day in range(1, 8)]


async def _holiday(world: World, *days: date) -> None:
    await world.connection.executemany("INSERT INTO holidays VALUES ('XX', $1, 'a day off')", [(day,) for day in days])


async def test_local_time_stays_when_the_clocks_change(world: World) -> None:
    await world.trainer("trainer-1", timeZone="America/New_York")
    purchase = await world.purchase("order-1", tier=20, timeZone="America/New_York", weekdays=[1])
    assert (await world.assign(purchase))["result"] == "ok"
    zone = ZoneInfo("America/New_York")
    starts = await world.starts(purchase)
    assert {start.astimezone(zone).hour for start in starts} == {18}
    # The clocks go back on 7 November 2027.
    assert starts[0] == datetime(2027, 11, 1, 22, tzinfo=UTC)
    assert starts[1] == datetime(2027, 11, 8, 23, tzinfo=UTC)


async def test_a_trainer_of_another_zone_must_be_free_before_and_after_the_change(world: World) -> None:
    # 18:00 in New York is 03:30 in India in summer and 04:30 in winter.
    await world.trainer("summer-only", weeklySlots=[{"weekday": 2, "from": "03:30", "to": "04:30"}])
    assert (await world.buy("order-1", timeZone="America/New_York", weekdays=[1]))["filter"] == "slot"
    await world.trainer("both", weeklySlots=[{"weekday": 2, "from": "03:30", "to": "05:30"}])
    decision = await world.buy("order-2", student="student-2", timeZone="America/New_York", weekdays=[1])
    assert decision["trainer_id"] == "both"


async def test_a_spare_date_after_the_change_asks_nothing_of_a_trainer_of_another_zone(world: World) -> None:
    # As above; the tenth session is on 1 November, the spare ones after the clocks go back on the 7th.
    await world.trainer("summer-only", weeklySlots=[{"weekday": 2, "from": "03:30", "to": "04:30"}])
    decision = await world.buy(
        "order-1", timeZone="America/New_York", weekdays=[1], startDate=f"{MONDAY - timedelta(weeks=9)}"
    )
    assert decision["trainer_id"] == "summer-only"


async def test_a_session_over_midnight_and_over_the_week_needs_both_days(world: World) -> None:
    late = {"weekdays": [7], "timeSlot": "23:30"}
    await world.trainer("sunday", weeklySlots=[{"weekday": 7, "from": "20:00", "to": "24:00"}])
    assert (await world.buy("order-1", **late))["filter"] == "slot"
    await world.trainer("night", weeklySlots=[{"weekday": 7, "from": "20:00", "to": "24:00"},
                                              {"weekday": 1, "from": "00:00", "to": "01:00"}])  # fmt: skip
    assert (await world.buy("order-2", student="student-2", **late))["trainer_id"] == "night"


async def test_holidays_are_skipped_and_appended(world: World) -> None:
    await world.trainer("trainer-1")
    await _holiday(world, MONDAY, MONDAY + timedelta(days=2))
    purchase = await world.purchase("order-1")
    await world.assign(purchase)
    days = [local(start).date() for start in await world.starts(purchase)]
    assert days[0] == MONDAY + timedelta(days=7)
    assert len(days) == 10
    assert days[-1] == MONDAY + timedelta(weeks=5, days=2)


async def test_leave_of_a_fifth_is_skipped_and_appended_more_disqualifies(world: World) -> None:
    off = {"startsAt": f"{MONDAY}T00:00:00+05:30", "endsAt": f"{MONDAY + timedelta(days=7)}T00:00:00+05:30"}
    await world.trainer("trainer-1", timeOff=[off])
    purchase = await world.purchase("order-1")
    await world.assign(purchase)
    days = [local(start).date() for start in await world.starts(purchase)]
    assert (days[0], days[-1], len(days)) == (MONDAY + timedelta(days=7), MONDAY + timedelta(weeks=5, days=2), 10)
    longer = off | {"endsAt": f"{MONDAY + timedelta(days=8)}T00:00:00+05:30"}
    await world.trainer("trainer-1", timeOff=[longer])
    decision = await world.buy("order-2", student="student-2", timeSlot="20:00")
    assert (decision["status"], decision["filter"]) == ("pending", "leave")


async def test_a_purchase_that_expires_too_early_is_pending(world: World) -> None:
    await world.trainer("trainer-1")
    purchase = await world.purchase("order-1")
    last_end = datetime(2027, 12, 1, 13, 30, tzinfo=UTC)
    await world.connection.execute(
        "UPDATE student_course_purchases SET expiry_date = $1", last_end - timedelta(seconds=1)
    )
    assert (await world.assign(purchase))["filter"] == "expiry"
    await world.connection.execute("UPDATE student_course_purchases SET expiry_date = $1", last_end)
    assert (await world.assign(purchase))["result"] == "ok"
    assert (await world.sessions(purchase))[-1]["ends_at"] == last_end


async def test_a_start_in_the_past_means_the_first_slot_from_now_on(world: World) -> None:
    await world.trainer("trainer-1", weeklySlots=ALL_DAY)
    purchase = await world.purchase("order-1", startDate="2020-01-01", weekdays=list(range(1, 8)))
    before = datetime.now(UTC)
    assert (await world.assign(purchase))["result"] == "ok"
    starts = await world.starts(purchase)
    assert before < starts[0] <= before + timedelta(days=1)
    assert all(later - earlier == timedelta(days=1) for earlier, later in pairwise(starts))


async def test_in_person_sessions_leave_time_to_travel(world: World) -> None:
    home = {"latitude": 12.97, "longitude": 77.59}
    await world.trainer("trainer-1", modes=["online", "in_person"], location=home, travelRadiusKm=10)
    travelling = {"mode": "in_person", "location": home}
    assert (await world.buy("order-1", **travelling))["result"] == "ok"
    too_close = await world.buy("order-2", student="student-2", timeSlot="19:15", **travelling)
    assert too_close["filter"] == "slot"
    assert (await world.buy("order-3", student="student-3", timeSlot="19:30", **travelling))["result"] == "ok"
    # A session at home needs half of it.
    assert (await world.buy("order-4", student="student-4", timeSlot="16:45"))["result"] == "ok"


async def test_a_purchase_from_before_coursepay_may_have_its_slot_in_the_metadata_only(world: World) -> None:
    await world.trainer("trainer-1")
    purchase = await world.purchase("legacy-1")
    metadata = f'{{"timeSlot": "18:00", "date": "{MONDAY}", "timeZone": "Asia/Kolkata"}}'
    await world.connection.execute("UPDATE student_course_purchases SET metadata = $1", metadata)
    assert (await world.assign(purchase))["result"] == "ok"
    assert {local(start).isoweekday() for start in await world.starts(purchase)} == {1}


async def test_time_zones_and_odd_minutes_do_not_hide_a_trainer(world: World) -> None:
    await world.trainer(
        "kathmandu", timeZone="Asia/Kathmandu", weeklySlots=[{"weekday": 1, "from": "18:20", "to": "19:05"}]
    )
    decision = await world.buy(
        "order-1", timeZone="Asia/Kathmandu", timeSlot="18:20", durationMinutes=45, weekdays=[1], course=COURSE
    )
    assert decision["trainer_id"] == "kathmandu"


async def test_the_minute_counts_not_the_half_hour(world: World) -> None:
    """The prefilter knows half hours and both offsets of a zone; the exact dates decide."""
    await world.trainer("trainer-1", weeklySlots=[{"weekday": 1, "from": "18:20", "to": "19:05"}])
    for slot in ("18:15", "18:21"):
        decision = await world.buy(f"order-{slot[-2:]}", timeSlot=slot, durationMinutes=45, weekdays=[1])
        assert (decision["status"], decision["filter"]) == ("pending", "slot")
    await world.trainer(
        "summer", timeZone="America/New_York", weeklySlots=[{"weekday": 2, "from": "18:00", "to": "19:00"}]
    )
    # In UTC the trainer's hour begins at 22:00 in summer and at 23:00 in winter; these dates have both.
    decision = await world.buy("order-1", timeZone="UTC", timeSlot="22:00", weekdays=[2])
    assert (decision["status"], decision["filter"]) == ("pending", "slot")
