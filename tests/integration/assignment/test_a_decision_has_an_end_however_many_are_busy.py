"""A popular hour of a popular course: what a decision costs is counted, not timed."""

from uuid import UUID

from tests.support.assignment import World
from tests.support.busy_trainers import add_busy_trainers
from tests.support.plans import explained

# Two of the ten dates of Mondays and Wednesdays: one more than a trainer is kept for.
_TAKEN = [0, 2]
_SEEK = """
SELECT trainer_id, failed, cut_short, left_after[1] AS offers
  FROM student_course_purchases b, wishes_of(b, NULL, 10) AS wish, seek_trainer(wish, NULL, NULL, NULL, $2)
 WHERE b.id = $1
"""
_CALLS = "SELECT COALESCE(sum(calls), 0)::integer FROM pg_stat_user_functions WHERE funcname = $1"
_READ = "SELECT idx_tup_fetch::integer FROM pg_stat_user_tables WHERE relname = 'tutoring_sessions'"


async def _cost(world: World, purchase: UUID) -> tuple[int, int]:
    """(looks at the dates of one trainer alone, sessions read) of a decision that finds nobody."""

    async def so_far() -> tuple[int, int]:
        await world.connection.execute("SELECT pg_stat_force_next_flush()")
        return (
            await world.connection.fetchval(_CALLS, "bookable_dates"),
            await world.connection.fetchval(_READ),
        )

    looks, sessions = await so_far()
    assert (await world.assign(purchase))["result"] == "pending"
    looks_after, sessions_after = await so_far()
    return looks_after - looks, sessions_after - sessions


async def test_twice_as_many_busy_trainers_cost_one_look_at_the_others(world: World) -> None:
    await world.connection.execute("SET track_functions = 'pl'")
    await add_busy_trainers(world, "busy", 1500, _TAKEN)
    looks, sessions = await _cost(world, await world.purchase("order-1", student="student-1"))
    # Nobody is looked at alone but those who are told as near misses, and who is free another time.
    assert looks <= 30
    await add_busy_trainers(world, "other", 1500, _TAKEN)
    looks_then, sessions_then = await _cost(world, await world.purchase("order-2", student="student-2"))
    assert looks_then == looks
    # Two sessions of each tell that a trainer is busy; hints cost what they did.
    assert sessions_then <= sessions + 2 * 1500 + 100


async def test_a_purchase_is_pending_for_a_true_reason_when_all_are_busy(world: World) -> None:
    await add_busy_trainers(world, "busy", 1500, _TAKEN)
    purchase = await world.purchase("order-1")
    decision = await world.assign(purchase)
    assert (decision["result"], decision["filter"]) == ("pending", "slot")
    why = await world.reason(purchase)
    assert why["funnel"] == {
        "specialty": 1500,
        "gender": 1500,
        "slot": 1500,
        "capacity": 1500,
        "radius": 1500,
        "leave": 1500,
        "dates": 0,
    }
    # An hour earlier they are free. Whether half an hour would do was not asked of all of them.
    assert (why["relaxation"], why["cutShort"]) == ("time_60", True)
    assert {(miss["fails"][0], miss["sessionsInTheWay"]) for miss in why["nearMisses"]} == {("dates", 2)}


async def test_of_a_few_hundred_busy_trainers_all_are_looked_at(world: World) -> None:
    await add_busy_trainers(world, "busy", 300, _TAKEN)
    purchase = await world.purchase("order-1")
    await world.assign(purchase)
    why = await world.reason(purchase)
    assert why["relaxation"] == "time_60"
    assert "cutShort" not in why


async def test_the_one_who_is_free_is_found_behind_all_who_are_busy(world: World) -> None:
    await add_busy_trainers(world, "busy", 1500, _TAKEN)
    await world.trainer("trainer-1", weeklyCapacityMinutes=240)
    # Half of the capacity is used, so that all the others are tried first.
    assert (await world.connection.fetchval("SELECT count(*) FROM trainer_offers")) == 1501
    await world.connection.execute("UPDATE trainers SET load_minutes = 120 WHERE trainer_id = 'trainer-1'")
    await world.connection.execute("UPDATE trainer_offers SET load_minutes = 120 WHERE trainer_id = 'trainer-1'")
    purchase = await world.purchase("order-1")
    assert (await world.assign(purchase))["trainer_id"] == "trainer-1"
    funnel = (await world.reason(purchase))["funnel"]
    assert (funnel["leave"], funnel["dates"]) == (1501, 1)


async def test_a_search_that_may_cost_less_says_that_there_were_more(world: World) -> None:
    await add_busy_trainers(world, "busy", 600, _TAKEN)
    purchase = await world.purchase("order-1")
    cut = await world.connection.fetchrow(_SEEK, purchase, 1000)
    whole = await world.connection.fetchrow(_SEEK, purchase, 10_000)
    assert cut is not None
    assert whole is not None
    assert (cut["trainer_id"], cut["failed"], cut["cut_short"]) == (None, "slot", True)
    assert cut["offers"] < 600
    assert (whole["trainer_id"], whole["cut_short"], whole["offers"]) == (None, False, 600)


async def test_those_about_whom_it_is_unsure_do_not_hide_one_who_is_free(world: World) -> None:
    # One date of ten is taken, which may be moved, and so are both of the spare ones.
    await add_busy_trainers(world, "unsure", 20, [0, 35, 37])
    purchase = await world.purchase("order-1")
    cut = await world.connection.fetchrow(_SEEK, purchase, 500)
    assert cut is not None
    assert (cut["trainer_id"], cut["failed"], cut["cut_short"]) == (None, "slot", True)
    await world.trainer("without-a-session")
    free = await world.connection.fetchrow(_SEEK, purchase, 500)
    assert free is not None
    assert free["trainer_id"] == "without-a-session"


async def test_a_plan_from_before_anybody_taught_still_reads_two_sessions_of_each(world: World) -> None:
    # Who was looked at while the tables were empty is looked at by the same plan for as long as the connection lasts.
    await world.trainer("night-owl", weeklySlots=[{"weekday": day, "from": "17:00", "to": "18:45"} for day in (1, 3)])
    for number in range(8):
        assert (await world.buy(f"order-{number}", student=f"student-{number}"))["filter"] == "slot"
    await add_busy_trainers(world, "busy", 300, _TAKEN)
    async with explained(world.connection) as plans:
        assert (await world.buy("order-of-all", student="student-9"))["result"] == "pending"
    # Two sessions of each, once for each search: as wished, for the hints, and for the eight swaps.
    assert 600 <= plans.rows_of("tutoring_sessions") <= 12 * 600
    assert plans.read_as_a_whole() & {"trainers", "trainer_offers"} == set()


async def test_in_reach_as_many_are_looked_at(world: World) -> None:
    home = {"latitude": 12.97, "longitude": 77.59}
    travelling = {"modes": ["in_person"], "location": home, "travelRadiusKm": 8}
    await add_busy_trainers(world, "busy", 300, _TAKEN, **travelling)
    purchase = await world.purchase("order-1", mode="in_person", location=home)
    cut = await world.connection.fetchrow(_SEEK, purchase, 1000)
    assert cut is not None
    assert (cut["failed"], cut["cut_short"]) == ("slot", True)
    whole = await world.connection.fetchrow(_SEEK, purchase, 10_000)
    assert whole is not None
    assert (whole["failed"], whole["cut_short"]) == ("slot", False)
    assert (await world.assign(purchase))["filter"] == "slot"
