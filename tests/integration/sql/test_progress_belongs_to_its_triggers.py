from collections.abc import AsyncIterator

import asyncpg
import pytest

from services.operations.database_roles import OWNER, SERVICE_ROLES
from tests.support.rows import Connection, allocated_purchase, insert

_COMPLETED = "SELECT sessions_completed FROM student_course_progress WHERE student_id = 'student-1'"
WRITES = (
    "INSERT INTO student_course_progress SELECT * FROM student_course_progress",
    "INSERT INTO student_course_progress SELECT * FROM student_course_progress ON CONFLICT DO NOTHING",
    "UPDATE student_course_progress SET sessions_completed = 5",
    "UPDATE student_course_progress SET sessions_completed = 5 WHERE false",
    "DELETE FROM student_course_progress",
    "TRUNCATE student_course_progress",
    "TRUNCATE student_course_purchases CASCADE",
)


@pytest.fixture(autouse=True)
async def _one_completed(connection: Connection) -> AsyncIterator[None]:
    _, allocation = await allocated_purchase(connection)
    await insert(connection, "tutoring_sessions", allocation_id=allocation, status="completed")
    yield
    await connection.execute("RESET ROLE; RESET session_replication_role")
    assert await connection.fetchval(_COMPLETED) == 1


@pytest.mark.parametrize("who", ["RESET ROLE", f"SET ROLE {OWNER}"], ids=["superuser", "owner"])
async def test_a_superuser_and_the_owner_are_refused(connection: Connection, who: str) -> None:
    await connection.execute(who)
    for write in WRITES:
        with pytest.raises(asyncpg.InsufficientPrivilegeError, match="written by its triggers only"):
            await connection.execute(write)


async def test_no_setting_opens_the_door(connection: Connection) -> None:
    await connection.execute("SET session_replication_role = replica")
    await connection.execute("SELECT set_config('coursepay.progress_writer', 'on', false)")
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await connection.execute("UPDATE student_course_progress SET sessions_completed = 5")


async def test_another_trigger_is_no_way_in(connection: Connection) -> None:
    await connection.execute(
        """
        CREATE FUNCTION sneak() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            UPDATE student_course_progress SET sessions_completed = 5;
            RETURN NULL;
        END $$;
        CREATE TRIGGER sneak AFTER INSERT ON courses FOR EACH STATEMENT EXECUTE FUNCTION sneak();
        """
    )
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await insert(connection, "courses")


async def test_after_a_counted_change_the_same_transaction_is_still_refused(connection: Connection) -> None:
    await connection.execute(f"SET ROLE {OWNER}")
    changed = connection.transaction()
    await changed.start()
    await connection.execute("UPDATE tutoring_sessions SET status = 'scheduled'")
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await connection.execute("DELETE FROM student_course_progress")
    await changed.rollback()


async def test_services_reach_neither_the_table_nor_the_functions(connection: Connection) -> None:
    functions = ("SELECT rebuild_progress()", "SELECT add_progress(gen_random_uuid(), 1, now(), false)")
    for role in SERVICE_ROLES:
        await connection.execute(f"SET ROLE {role}")
        for write in (*WRITES, *functions):
            with pytest.raises(asyncpg.InsufficientPrivilegeError, match="permission denied"):
                await connection.execute(write)


async def test_drift_is_seen_and_only_the_owner_repairs_it(connection: Connection) -> None:
    await connection.execute("SET session_replication_role = replica")
    _, allocation = await allocated_purchase(connection, student_id="student-2")
    await insert(
        connection,
        "tutoring_sessions",
        allocation_id=allocation,
        student_id="student-2",
        trainer_id="trainer-2",
        status="completed",
        completed_at=await connection.fetchval("SELECT now()"),
    )
    await connection.execute("RESET session_replication_role")
    await connection.execute("SET ROLE coursepay_operations")
    drift = await connection.fetchrow("SELECT sessions_completed, expected_completed FROM progress_drift")
    assert drift is not None
    assert tuple(drift) == (None, 1)
    await connection.execute(f"SET ROLE {OWNER}")
    assert await connection.fetchval("SELECT rebuild_progress()") == 1
    assert await connection.fetch("SELECT * FROM progress_drift") == []


async def test_a_snapshot_from_before_is_no_base_for_repairs(connection: Connection) -> None:
    with pytest.raises(asyncpg.RaiseError, match="READ COMMITTED"):
        async with connection.transaction(isolation="repeatable_read"):
            await connection.execute("SELECT rebuild_progress()")
