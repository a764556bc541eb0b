from datetime import datetime, timedelta
from typing import Any

import pytest

from services.gateway_api.callers.roles import Role
from tests.support.gateway import STUDENT, Gateway, owner_connection
from tests.support.staff import COURSE, add_purchase, ask, put_trainer


@pytest.fixture
async def sessions(gateway: Gateway, database_url: str) -> list[dict[str, Any]]:
    """Ten with trainer-1, in order."""
    await add_purchase(database_url)
    await put_trainer(gateway)
    body = {"studentId": STUDENT, "courseId": COURSE, "trainerId": "trainer-1"}
    assert (await ask(gateway, "POST", "/allocations/allocate", body))[0] == 201
    return await _sessions(gateway)


async def _sessions(gateway: Gateway) -> list[dict[str, Any]]:
    path = f"/api/v1/students/{STUDENT}/sessions"
    _, page = await gateway.call("GET", path, headers=gateway.headers(Role.STUDENT))
    items: list[dict[str, Any]] = page["items"]
    return items


async def _move(
    gateway: Gateway, session: dict[str, Any], starts: datetime, role: Role = Role.SUPPORT, subject: str = "staff-1"
) -> tuple[int, Any]:
    path = f"/api/v1/admin/sessions/{session['sessionId']}/reschedule"
    body = {"startsAt": starts.isoformat(), "reason": "agreed on the phone"}
    return await gateway.call("POST", path, json=body, headers=gateway.headers(role, subject=subject))


def _start(session: dict[str, Any]) -> datetime:
    return datetime.fromisoformat(session["startsAt"])


async def test_trainer_and_support_move_a_session_once(
    gateway: Gateway, sessions: list[dict[str, Any]], database_url: str
) -> None:
    later = _start(sessions[0]) + timedelta(hours=1)
    for _ in range(2):
        status, told = await _move(gateway, sessions[0], later, Role.TRAINER, "trainer-1")
        assert (status, _start(told), told["status"]) == (200, later, "scheduled")
    moved = await _sessions(gateway)
    assert len(moved) == 10
    assert _start(next(one for one in moved if one["sessionId"] == sessions[0]["sessionId"])) == later
    async with owner_connection(database_url) as connection:
        rows = await connection.fetch("SELECT actor, reason FROM audit_log WHERE action = 'session.reschedule'")
    assert [tuple(row) for row in rows] == [("trainer-1", "agreed on the phone")]


async def test_what_is_not_possible_is_refused_and_changes_nothing(
    gateway: Gateway, sessions: list[dict[str, Any]], database_url: str
) -> None:
    start = _start(sessions[0])
    async with owner_connection(database_url) as connection:
        await connection.execute(
            "INSERT INTO trainer_time_off (trainer_id, starts_at, ends_at) VALUES ('trainer-1', $1, $2)",
            start + timedelta(days=1),
            start + timedelta(days=1, hours=1),
        )
    for reason, when in (
        ("past", start - timedelta(days=4000)),
        ("expiry", start + timedelta(days=4000)),
        ("slot", start.replace(hour=3)),
        ("slot", _start(sessions[1])),
        ("leave", start + timedelta(days=1)),
    ):
        status, told = await _move(gateway, sessions[0], when)
        assert (status, told["type"], told["reason"]) == (409, "/problems/session-conflict", reason)
    assert [one["startsAt"] for one in await _sessions(gateway)] == [one["startsAt"] for one in sessions]


async def test_a_stranger_and_a_cancelled_session_are_refused(gateway: Gateway, sessions: list[dict[str, Any]]) -> None:
    later = _start(sessions[0]) + timedelta(hours=1)
    assert (await _move(gateway, sessions[0], later, Role.TRAINER, "trainer-2"))[0] == 404
    cancel = f"/sessions/{sessions[0]['sessionId']}/cancel"
    assert (await ask(gateway, "POST", cancel, {}))[0] == 200
    status, told = await _move(gateway, sessions[0], later)
    assert (status, told["reason"]) == (409, "cancelled")


async def test_the_time_that_is_given_up_is_free_for_others(
    gateway: Gateway, sessions: list[dict[str, Any]], database_url: str
) -> None:
    assert (await _move(gateway, sessions[0], _start(sessions[0]) + timedelta(hours=1)))[0] == 200
    async with owner_connection(database_url) as connection:
        free = await connection.fetchval(
            """
            SELECT NOT EXISTS (SELECT FROM tutoring_sessions
                                WHERE held && tstzrange($1, $1::timestamptz + interval '1 h', '[)'))
            """,
            _start(sessions[0]),
        )
        freed = await connection.fetchval(
            "SELECT freed_at > now() - interval '1 min' FROM trainer_offers WHERE trainer_id = 'trainer-1'"
        )
    assert free
    assert freed
