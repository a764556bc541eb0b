import pytest

from services.gateway_api.callers.roles import Role
from tests.support.gateway import STUDENT, Gateway, owner_connection
from tests.support.staff import COURSE, add_purchase, ask, put_trainer


@pytest.fixture
async def session_id(gateway: Gateway, database_url: str) -> str:
    """The first of ten sessions with trainer-1, some days ahead."""
    await add_purchase(database_url)
    await put_trainer(gateway)
    body = {"studentId": STUDENT, "courseId": COURSE, "trainerId": "trainer-1"}
    status, told = await ask(gateway, "POST", "/allocations/allocate", body)
    assert status == 201, told
    path = f"/api/v1/students/{STUDENT}/sessions"
    _, page = await gateway.call("GET", path, headers=gateway.headers(Role.STUDENT))
    assert len(page["items"]) == 10
    assert [item["startsAt"] for item in page["items"]] == sorted(item["startsAt"] for item in page["items"])
    found: str = page["items"][0]["sessionId"]
    return found


async def _post(
    gateway: Gateway, session_id: str, verb: str, role: Role = Role.SUPPORT, subject: str = "staff-1"
) -> tuple[int, str]:
    path = f"/api/v1/admin/sessions/{session_id}/{verb}"
    status, told = await gateway.call("POST", path, headers=gateway.headers(role, subject=subject))
    return status, told["status"] if status == 200 else told["type"]


async def _begin(database_url: str, session_id: str) -> None:
    """Moves the session to half an hour ago."""
    async with owner_connection(database_url) as connection:
        await connection.execute(
            """
            UPDATE tutoring_sessions
               SET starts_at = now() - interval '30 min', ends_at = now() + interval '30 min'
             WHERE id::text = $1
            """,
            session_id,
        )


async def test_a_session_is_completed_from_its_start_on_and_once(
    gateway: Gateway, session_id: str, database_url: str
) -> None:
    assert await _post(gateway, session_id, "complete") == (409, "/problems/session-conflict")
    await _begin(database_url, session_id)
    for _ in range(2):
        assert await _post(gateway, session_id, "complete") == (200, "completed")
    assert await _post(gateway, session_id, "cancel") == (409, "/problems/session-conflict")
    path = f"/api/v1/students/{STUDENT}/progress"
    _, page = await gateway.call("GET", path, headers=gateway.headers(Role.STUDENT))
    assert [(item["sessionsCompleted"], item["sessionsTotal"]) for item in page["items"]] == [(1, 10)]
    async with owner_connection(database_url) as connection:
        assert await connection.fetchval("SELECT count(*) FROM audit_log WHERE action = 'session.complete'") == 1


async def test_a_cancelled_session_stays_cancelled_and_one_is_appended(
    gateway: Gateway, session_id: str, database_url: str
) -> None:
    for _ in range(2):
        assert await _post(gateway, session_id, "cancel") == (200, "cancelled")
    await _begin(database_url, session_id)
    assert await _post(gateway, session_id, "complete") == (409, "/problems/session-conflict")
    path = f"/api/v1/students/{STUDENT}/sessions"
    _, page = await gateway.call("GET", path, headers=gateway.headers(Role.STUDENT))
    assert [item["status"] for item in page["items"]].count("scheduled") == 10


@pytest.mark.parametrize("on_leave", [False, True])
async def test_a_cancelled_session_of_one_who_left_tells_who_teaches_now_or_that_nobody_does(
    gateway: Gateway, session_id: str, database_url: str, *, on_leave: bool
) -> None:
    leave = {"startsAt": "2026-01-01T00:00:00Z", "endsAt": "2035-01-01T00:00:00Z"}
    await put_trainer(gateway, "trainer-2", timeOff=[leave] if on_leave else [])
    async with owner_connection(database_url) as connection:
        await connection.execute("DELETE FROM outbox")
        await connection.execute("UPDATE student_course_purchases SET sessions_total = 1")
        await connection.execute("SELECT adjust_allocation(id) FROM student_course_purchases")
        await _begin(database_url, session_id)
        await connection.execute("SELECT depart_trainer('trainer-1', 'ops-1', 'reassign')")
        for _ in range(2):
            assert await _post(gateway, session_id, "cancel") == (200, "cancelled")
        told = await connection.fetch("SELECT type FROM outbox")
        audit = await connection.fetchval(
            "SELECT after #>> '{allocation,status}' FROM audit_log WHERE action = 'session.cancel'"
        )
    assert [row["type"] for row in told] == ["AllocationPending" if on_leave else "TrainerAssigned"]
    assert audit == ("pending" if on_leave else "approved")


async def test_trainers_act_on_their_own_sessions_only(gateway: Gateway, session_id: str, database_url: str) -> None:
    await _begin(database_url, session_id)
    stranger = await _post(gateway, session_id, "complete", Role.TRAINER, "trainer-2")
    assert stranger == (404, "/problems/not-found")
    assert await _post(gateway, session_id, "complete", Role.TRAINER, "trainer-1") == (200, "completed")


async def test_an_unknown_session_is_404(gateway: Gateway) -> None:
    for unknown in ("7", "00000000-0000-4000-8000-000000000000", "x"):
        assert await _post(gateway, unknown, "complete") == (404, "/problems/not-found")
