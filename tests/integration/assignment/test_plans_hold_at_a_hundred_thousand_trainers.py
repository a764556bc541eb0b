"""The plans inside the functions, and the rows that they read, where reading a whole table would show."""

import asyncio
from collections.abc import AsyncIterator, Iterator

import asyncpg
import orjson
import pytest

from tests.support.assignment import SCHEDULE, World, world_in
from tests.support.databases import cloned_database
from tests.support.many_trainers import PURCHASES, add_many_trainers
from tests.support.plans import Plans, explained

_LARGE = {
    "trainers",
    "trainer_offers",
    "trainer_allocations",
    "tutoring_sessions",
    "student_course_purchases",
}
_DUE = 5
# All sessions of some are cancelled, the time of as many others is over.
_OVER = """
WITH due AS (SELECT id, purchase_id, row_number() OVER (ORDER BY id) <= $1::integer AS is_held FROM trainer_allocations
              WHERE status = 'approved' ORDER BY id LIMIT 2 * $1::integer),
     expired AS (UPDATE student_course_purchases
                    SET purchase_date = now() - interval '1 day', expiry_date = now() - interval '1 minute'
                  WHERE id IN (SELECT purchase_id FROM due WHERE NOT is_held))
UPDATE tutoring_sessions SET status = 'cancelled' WHERE allocation_id IN (SELECT id FROM due WHERE is_held)
"""
_HOME = {"latitude": 13.0, "longitude": 78.0}
# The first page of the search.
_PAGE = 64


@pytest.fixture(scope="module")
def filled(template: str) -> Iterator[str]:
    """The address of the one database that these tests share."""
    with asyncio.Runner() as runner:
        cloned = cloned_database(template)
        url = runner.run(cloned.__aenter__())
        runner.run(_fill(url))
        yield url
        runner.run(cloned.__aexit__(None, None, None))


async def _fill(url: str) -> None:
    async with world_in(url) as world:
        await add_many_trainers(world.connection, orjson.dumps({"schedule": SCHEDULE}).decode())


@pytest.fixture
async def world(filled: str) -> AsyncIterator[World]:
    """What a test changes is rolled back."""
    connection = await asyncpg.connect(filled, server_settings={"timezone": "UTC"})
    transaction = connection.transaction()
    await transaction.start()
    yield World(url=filled, connection=connection)
    await transaction.rollback()
    await connection.close()


def _is_bounded(plans: Plans) -> None:
    assert plans.steps
    assert plans.read_as_a_whole() & _LARGE == set(), plans.steps


async def test_a_search_reads_a_page_along_one_index(world: World) -> None:
    # Plans for these values, and after five calls a generic one.
    for number in range(8):
        purchase = await world.purchase(f"order-{number}", student=f"student-{number}")
        async with explained(world.connection) as plans:
            assert (await world.assign(purchase))["result"] == "ok"
        _is_bounded(plans)
        searched = [step for step in plans.on("trainer_offers") if step.rows]
        assert {step.index for step in searched} == {"trainer_offers_least_loaded", "trainer_offers_pkey"}
        assert plans.rows_of("trainer_offers") <= _PAGE + 2
        assert plans.indexes_on("trainer_time_off") == {"trainer_time_off_ranges"}
        # Of each candidate and the student only what is at those times.
        assert plans.rows_of("tutoring_sessions") <= 5


async def test_a_rare_slot_is_searched_for_in_one_course_only(world: World) -> None:
    purchase = await world.purchase("order-1", course="course-0007", timeSlot="03:00")
    offered = await world.connection.fetchval("SELECT count(*) FROM trainer_offers WHERE course_id = 'course-0007'")
    async with explained(world.connection) as plans:
        assert (await world.assign(purchase))["filter"] == "slot"
    _is_bounded(plans)
    # Once for the wish, for each of the ten ways to relax it, and twice for what a person is told.
    assert plans.rows_of("trainer_offers") <= 13 * offered


async def test_in_person_only_those_in_reach_are_read(world: World) -> None:
    for number in range(8):
        purchase = await world.purchase(f"order-{number}", student=f"s-{number}", mode="in_person", location=_HOME)
        async with explained(world.connection) as plans:
            assert (await world.assign(purchase))["result"] == "ok"
        _is_bounded(plans)
        read = {step.index for step in plans.on("trainer_offers") if step.rows}
        assert read == {"trainer_offers_nearby", "trainer_offers_pkey"}
        in_reach = await world.connection.fetchval(
            """
            SELECT count(*) FROM trainer_offers
             WHERE course_id = 'course-0001' AND in_person AND reach @> box(point(78, 13), point(78, 13))
            """
        )
        assert plans.rows_of("trainer_offers") <= in_reach + 10


async def test_who_waits_is_asked_about_by_what_was_freed(world: World) -> None:
    async with explained(world.connection) as plans:
        due = await world.connection.fetch("SELECT * FROM pendings_to_retry(200)")
    assert due == []
    _is_bounded(plans)
    assert plans.indexes_on("trainer_offers") == {"trainer_offers_freed"}
    # Nobody was freed, so that not one offer is read, however many wait.
    assert plans.rows_of("trainer_offers") == 0
    assert plans.rows_of("trainer_allocations") <= PURCHASES + 10


async def test_a_trainer_who_comes_is_matched_with_those_of_the_course_only(world: World) -> None:
    async with explained(world.connection) as plans:
        await world.trainer("trainer-000777", courses=["course-0007"])
    _is_bounded(plans)
    assert plans.rows_of("trainer_offers") <= 5
    async with explained(world.connection) as plans:
        due = await world.connection.fetch("SELECT * FROM pendings_to_retry(200)")
    assert len(due) == PURCHASES // 200
    _is_bounded(plans)
    assert plans.rows_of("trainer_offers") <= 2 * len(due)


async def test_a_session_that_is_cancelled_frees_its_trainer_by_keys(world: World) -> None:
    session = await world.connection.fetchval("SELECT id FROM tutoring_sessions WHERE sequence_no = 3 LIMIT 1")
    # Else the make-up would be somebody else's.
    await world.connection.execute(
        """
        UPDATE trainer_offers offer SET course_id = session.course_id FROM tutoring_sessions session
         WHERE session.id = $1 AND offer.trainer_id = session.trainer_id
        """,
        session,
    )
    async with explained(world.connection) as plans:
        await world.connection.execute("SELECT cancel_session($1, 'staff-1')", session)
    _is_bounded(plans)
    assert plans.rows_of("trainer_offers") <= 5
    assert plans.rows_of("tutoring_sessions") <= 100


async def test_what_time_ends_is_found_among_what_lives(world: World) -> None:
    """A few of a thousand, beside twenty times as many that ended long ago: the planner is free to choose."""
    await world.connection.execute(_OVER, _DUE)
    async with explained(world.connection) as plans:
        assert await world.connection.fetchval("SELECT sweep_allocations(100)") == _DUE
        assert len(await world.connection.fetch("SELECT * FROM expire_purchases(100)")) == _DUE
    # A small table of purchases may be read as a whole to look up a thousand, never to find those that expire.
    assert plans.read_as_a_whole() & (_LARGE - {"student_course_purchases"}) == set(), plans.steps
    expiring = [step for step in plans.on("student_course_purchases") if step.index == "purchases_to_expire"]
    assert [step.rows for step in expiring] == [_DUE]
    assert plans.rows_of("trainer_allocations") <= PURCHASES + 10 * _DUE
    # One session ahead tells that an allocation lives; of those that are over all are looked at.
    assert plans.rows_of("tutoring_sessions") <= PURCHASES + 20 * _DUE
