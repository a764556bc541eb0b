"""Allocations whose last session is past stop being load; purchases whose time is over expire."""

import orjson

from services.common.database import Database
from services.operations.releases import Releases
from services.operations.stock import count_stock

_PURCHASE = """
INSERT INTO student_course_purchases
       (order_id, student_id, course_id, purchase_tier, sessions_total, purchase_date, expiry_date)
VALUES ($1, $1, 'course-0001', 10, 10, now() - interval '1 year', now() + make_interval(days => $2)) RETURNING id
"""
_TRAINER = """
INSERT INTO trainers (trainer_id, name, time_zone, weekly_capacity_minutes, load_minutes)
VALUES ('trainer-1', 'Asha Rao', 'Asia/Kolkata', 1200, 240)
"""
_ALLOCATION = """
INSERT INTO trainer_allocations (purchase_id, student_id, course_id, trainer_id, status, weekly_minutes)
VALUES ($1, $2, 'course-0001', $3, $4, 120) RETURNING id
"""
_SESSION = """
INSERT INTO tutoring_sessions (allocation_id, sequence_no, trainer_id, student_id, course_id, starts_at, ends_at)
VALUES ($1, 1, 'trainer-1', $2, 'course-0001', now() + make_interval(hours => $3),
        now() + make_interval(hours => $3 + 1))
"""


async def _sweep(database: Database) -> int:
    """How many purchases ended with sessions that never had a date, and whose money is still ours."""
    await Releases(database).sweep()
    return (await count_stock(database)).expired_unserved


async def test_a_finished_allocation_is_no_load_and_one_with_a_session_ahead_is(
    database: Database, owner: Database
) -> None:
    async with owner.transaction() as transaction:
        await transaction.execute(_TRAINER)
        for student, hours in (("past", -48), ("ahead", 48)):
            purchase = await transaction.fetchval(_PURCHASE, student, 100)
            allocation = await transaction.fetchval(_ALLOCATION, purchase, student, "trainer-1", "approved")
            await transaction.execute(_SESSION, allocation, student, hours)
    await _sweep(database)
    async with owner.connection() as connection:
        rows = await connection.fetch("SELECT student_id, released_at IS NULL AS is_load FROM trainer_allocations")
        assert {row["student_id"]: row["is_load"] for row in rows} == {"past": False, "ahead": True}
        assert await connection.fetchval("SELECT load_minutes FROM trainers") == 120


async def test_a_purchase_whose_time_is_over_expires_and_waits_for_nobody(database: Database, owner: Database) -> None:
    async with owner.transaction() as transaction:
        for student, days in (("over", -1), ("valid", 1)):
            purchase = await transaction.fetchval(_PURCHASE, student, days)
            await transaction.fetchval(_ALLOCATION, purchase, student, None, "pending")
    await _sweep(database)
    async with owner.connection() as connection:
        purchases = await connection.fetch("SELECT student_id, status FROM student_course_purchases")
        assert {row["student_id"]: row["status"] for row in purchases} == {"over": "expired", "valid": "active"}
        waiting = await connection.fetch("SELECT student_id FROM trainer_allocations WHERE status = 'pending'")
        assert [row["student_id"] for row in waiting] == ["valid"]


async def test_what_was_paid_and_never_had_a_date_is_counted_and_on_record(database: Database, owner: Database) -> None:
    async with owner.transaction() as transaction:
        await transaction.execute(_TRAINER)
        served = await transaction.fetchval(_PURCHASE, "served", -1)
        await transaction.execute("UPDATE student_course_purchases SET sessions_total = 1")
        allocation = await transaction.fetchval(_ALLOCATION, served, "served", "trainer-1", "approved")
        await transaction.execute(_SESSION, allocation, "served", -48)
        unserved = await transaction.fetchval(_PURCHASE, "unserved", -1)
        await transaction.fetchval(_ALLOCATION, unserved, "unserved", None, "pending")
    assert await _sweep(database) == 1
    assert await _sweep(database) == 1
    async with owner.connection() as connection:
        [row] = await connection.fetch("SELECT actor, action, target, before, after FROM audit_log")
    assert (row["actor"], row["action"], row["target"]) == ("auto", "purchase.expired_unserved", "unserved")
    assert orjson.loads(row["before"])["allocation"] == "pending"
    assert orjson.loads(row["after"])["sessionsMissing"] == 10
    async with owner.transaction() as transaction:
        await transaction.execute("UPDATE student_course_purchases SET status = 'revoked' WHERE id = $1", unserved)
    assert await _sweep(database) == 0


async def test_a_move_at_the_same_time_is_not_waited_for_and_stops_no_purchase_from_ending(
    database: Database, owner: Database
) -> None:
    async with owner.transaction() as transaction:
        await transaction.execute(_TRAINER)
        purchase = await transaction.fetchval(_PURCHASE, "past", 100)
        allocation = await transaction.fetchval(_ALLOCATION, purchase, "past", "trainer-1", "approved")
        await transaction.execute(_SESSION, allocation, "past", -48)
        await transaction.fetchval(_PURCHASE, "over", -1)
    states = "SELECT (SELECT count(*) FROM trainer_allocations WHERE released_at IS NULL),"
    states += " (SELECT count(*) FROM student_course_purchases WHERE status = 'active')"
    async with owner.connection() as connection:
        async with owner.transaction() as moving:
            await moving.execute("SELECT lock_several_trainers()")
            await _sweep(database)
            assert [tuple(row) for row in await connection.fetch(states)] == [(1, 1)]
        await _sweep(database)
        assert [tuple(row) for row in await connection.fetch(states)] == [(0, 1)]


async def test_sweeping_again_changes_nothing(database: Database, owner: Database) -> None:
    async with owner.transaction() as transaction:
        await transaction.fetchval(_PURCHASE, "over", -1)
    await _sweep(database)
    async with owner.connection() as connection:
        before = await connection.fetch("SELECT * FROM student_course_purchases")
    await _sweep(database)
    async with owner.connection() as connection:
        assert await connection.fetch("SELECT * FROM student_course_purchases") == before
