from typing import Any
from uuid import UUID

import asyncpg
import pytest

from tests.support.rows import Connection, allocated_purchase, insert


async def _progress(connection: Connection, purchase: UUID) -> dict[str, Any] | None:
    row = await connection.fetchrow("SELECT * FROM student_course_progress WHERE purchase_id = $1", purchase)
    return dict(row) if row is not None else None


async def _set(connection: Connection, sessions: list[UUID], status: str) -> None:
    await connection.execute("UPDATE tutoring_sessions SET status = $2 WHERE id = ANY ($1)", sessions, status)


async def _booked(connection: Connection, sessions: int = 3, **purchase: object) -> tuple[UUID, list[UUID]]:
    bought, allocation = await allocated_purchase(connection, **purchase)
    rows = [await insert(connection, "tutoring_sessions", allocation_id=allocation) for _ in range(sessions)]
    return bought, [row["id"] for row in rows]


async def test_a_row_appears_with_the_first_completed_session_and_grows(connection: Connection) -> None:
    purchase, sessions = await _booked(connection)
    assert await _progress(connection, purchase) is None
    await _set(connection, sessions[:1], "completed")
    first = await _progress(connection, purchase)
    assert first is not None
    assert (first["student_id"], first["course_id"]) == ("student-1", "course-0001")
    assert (first["sessions_completed"], first["sessions_total"]) == (1, 10)
    completed_at = await connection.fetchval("SELECT completed_at FROM tutoring_sessions WHERE id = $1", sessions[0])
    assert first["last_completed_at"] == completed_at
    await _set(connection, sessions, "completed")
    later = await _progress(connection, purchase)
    assert later is not None
    assert later["sessions_completed"] == 3
    assert later["last_completed_at"] > first["last_completed_at"]


async def test_repeating_and_other_changes_count_nothing(connection: Connection) -> None:
    purchase, sessions = await _booked(connection)
    await _set(connection, sessions[:1], "completed")
    before = await _progress(connection, purchase)
    await _set(connection, sessions[:1], "completed")
    await _set(connection, sessions[1:2], "cancelled")
    await connection.execute("UPDATE tutoring_sessions SET trainer_id = 'trainer-2'")
    assert await _progress(connection, purchase) == before


async def test_taking_a_completion_back_finds_the_one_before(connection: Connection) -> None:
    purchase, sessions = await _booked(connection)
    for session in sessions[:2]:
        await _set(connection, [session], "completed")
    times = await connection.fetch("SELECT completed_at FROM tutoring_sessions WHERE status = 'completed' ORDER BY 1")
    await _set(connection, sessions[1:2], "scheduled")
    progress = await _progress(connection, purchase)
    assert progress is not None
    assert (progress["sessions_completed"], progress["last_completed_at"]) == (1, times[0]["completed_at"])
    await connection.execute("DELETE FROM tutoring_sessions WHERE id = $1", sessions[0])
    progress = await _progress(connection, purchase)
    assert progress is not None
    assert (progress["sessions_completed"], progress["last_completed_at"]) == (0, None)


async def test_a_session_inserted_as_completed_counts(connection: Connection) -> None:
    purchase, allocation = await allocated_purchase(connection)
    row = await insert(connection, "tutoring_sessions", allocation_id=allocation, status="completed")
    assert row["completed_at"] is not None
    progress = await _progress(connection, purchase)
    assert progress is not None
    assert progress["sessions_completed"] == 1


async def test_one_statement_over_many_purchases_counts_each(connection: Connection) -> None:
    booked = [await _booked(connection, sessions=count, student_id=f"student-{count}") for count in (1, 2, 3)]
    await connection.execute("UPDATE tutoring_sessions SET status = 'completed'")
    for count, (purchase, _) in enumerate(booked, start=1):
        progress = await _progress(connection, purchase)
        assert progress is not None
        assert progress["sessions_completed"] == count


async def test_the_total_follows_the_purchase(connection: Connection) -> None:
    purchase, sessions = await _booked(connection, sessions_total=9)
    await connection.execute("UPDATE student_course_purchases SET sessions_total = 8 WHERE id = $1", purchase)
    await _set(connection, sessions[:1], "completed")
    progress = await _progress(connection, purchase)
    assert progress is not None
    assert progress["sessions_total"] == 8
    await connection.execute("UPDATE student_course_purchases SET sessions_total = 5 WHERE id = $1", purchase)
    progress = await _progress(connection, purchase)
    assert progress is not None
    assert progress["sessions_total"] == 5


async def test_a_new_allocation_after_a_cancelled_one_goes_on_counting(connection: Connection) -> None:
    purchase, sessions = await _booked(connection)
    await _set(connection, sessions[:2], "completed")
    await connection.execute("UPDATE trainer_allocations SET status = 'cancelled' WHERE purchase_id = $1", purchase)
    allocation = await insert(connection, "trainer_allocations", purchase_id=purchase)
    row = await insert(connection, "tutoring_sessions", allocation_id=allocation["id"])
    await _set(connection, [row["id"]], "completed")
    progress = await _progress(connection, purchase)
    assert progress is not None
    assert progress["sessions_completed"] == 3


async def test_what_was_counted_cannot_move_to_someone_else(connection: Connection) -> None:
    purchase, _ = await _booked(connection)
    other = await insert(connection, "student_course_purchases")
    for statement in (
        f"UPDATE trainer_allocations SET purchase_id = '{other['id']}' WHERE purchase_id = '{purchase}'",  # noqa: S608
        f"UPDATE student_course_purchases SET student_id = 'student-2' WHERE id = '{purchase}'",  # noqa: S608
    ):
        with pytest.raises(asyncpg.IntegrityConstraintViolationError):
            await connection.execute(statement)
