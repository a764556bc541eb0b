"""What a student is shown, read page by page and compared with the tables, at each step of a payment's life."""

from datetime import datetime
from typing import Any

from services.common.settings import Settings
from services.gateway_api.callers.roles import Role
from tests.support.checkout import confirm, pay
from tests.support.eventually import eventually
from tests.support.gateway import STUDENT, place_order
from tests.support.payment_work import task_workers
from tests.support.staff import ask, put_trainer
from tests.support.whole_system import WholeSystem, whole_system

OTHER = "student-2"
_BOUGHT = """
SELECT id::text AS "purchaseId", order_id AS "orderId", course_id AS "courseId", purchase_tier AS "purchaseTier",
       status, purchase_date AS "purchaseDate", expiry_date AS "expiryDate"
  FROM student_course_purchases WHERE student_id = $1 ORDER BY purchase_date DESC, order_id DESC
"""
_HELD = """
SELECT id::text AS "sessionId", allocation_id::text AS "allocationId", trainer_id AS "trainerId",
       course_id AS "courseId", starts_at AS "startsAt", ends_at AS "endsAt", status
  FROM tutoring_sessions WHERE student_id = $1 ORDER BY starts_at, id::text
"""
_DONE = """
SELECT course_id AS "courseId", purchase_id::text AS "purchaseId", sessions_total AS "sessionsTotal",
       sessions_completed AS "sessionsCompleted", last_completed_at AS "lastCompletedAt"
  FROM student_course_progress WHERE student_id = $1
"""
_TABLES = {"purchases": _BOUGHT, "sessions": _HELD, "progress": _DONE}
_TO_THE_PAST = """
UPDATE tutoring_sessions SET starts_at = now() - interval '2 hours', ends_at = now() - interval '1 hour'
 WHERE id = $1
"""
Json = dict[str, Any]


async def _shown(system: WholeSystem, name: str) -> list[Json]:
    """All pages of three."""
    items: list[Json] = []
    query = "?limit=3"
    while True:
        page = await system.ask(f"/api/v1/students/{STUDENT}/{name}{query}")
        items += page["items"]
        if page["nextCursor"] is None:
            return items
        query = f"?limit=3&cursor={page['nextCursor']}"


def _plain(item: Json) -> Json:
    """Times compared as times, however they are written."""
    is_time = {name for name in item if name.endswith(("At", "Date"))}
    return {
        name: datetime.fromisoformat(value) if name in is_time and isinstance(value, str) else value
        for name, value in item.items()
    }


async def _agrees(system: WholeSystem, order_id: str, **wanted: object) -> None:
    """Until the lists are what the tables say, and payment status, purchase status, live sessions and progress are
    what is wanted.
    """

    async def is_so() -> bool:
        lists = {name: [_plain(item) for item in await _shown(system, name)] for name in _TABLES}
        assert lists == {name: await system.fetch(statement, STUDENT) for name, statement in _TABLES.items()}
        payment = await system.ask(f"/api/v1/payments/{order_id}")
        assert _plain(payment["purchase"]) == lists["purchases"][0]
        live = [session for session in lists["sessions"] if session["status"] != "cancelled"]
        assert {
            "payment": payment["status"],
            "purchase": lists["purchases"][0]["status"],
            "sessions": len(live),
            "progress": [(item["sessionsCompleted"], item["sessionsTotal"]) for item in lists["progress"]],
        } == wanted
        return True

    await eventually(is_so, within_s=60)


async def test_the_lists_are_the_tables_from_the_order_to_the_refund(settings: Settings) -> None:
    async with whole_system(settings) as system, task_workers(system.gateway):
        await put_trainer(system.gateway)
        placed = await place_order(system.gateway, key="key-1")
        order_id, path = placed["orderId"], f"/api/v1/payments/{placed['orderId']}"
        assert [await _shown(system, name) for name in _TABLES] == [[], [], []]
        assert (await system.ask(path))["status"] == "created"

        assert (await confirm(system.gateway, await pay(system.gateway, placed)))[0] in {200, 503}
        # From the confirmation on it is listed, whether or not a worker has been quick already.
        [first] = await _shown(system, "purchases")
        assert (first["orderId"], first["status"] in {"being_set_up", "active"}) == (order_id, True)
        await _agrees(system, order_id, payment="succeeded", purchase="active", sessions=10, progress=[])
        [bought] = await _shown(system, "purchases")
        assert bought["purchaseDate"] == first["purchaseDate"]

        session_id = (await _shown(system, "sessions"))[0]["sessionId"]
        await system.fetch(_TO_THE_PAST, session_id)
        assert (await ask(system.gateway, "POST", f"/sessions/{session_id}/complete", {}))[0] == 200
        await _agrees(system, order_id, payment="succeeded", purchase="active", sessions=10, progress=[(1, 10)])

        await _refund(system, order_id, "refund-1", {"amountMinor": 200_000, "reason": "four lessons less"})
        await _agrees(system, order_id, payment="partially_refunded", purchase="active", sessions=6, progress=[(1, 6)])
        await _refund(system, order_id, "refund-2", {"reason": "the student moved away"})
        await _agrees(system, order_id, payment="refunded", purchase="revoked", sessions=1, progress=[(1, 1)])

        stranger = system.gateway.headers(Role.STUDENT, subject=OTHER)
        for hidden in (path, *(f"/api/v1/students/{STUDENT}/{name}" for name in _TABLES)):
            assert (await system.gateway.call("GET", hidden, headers=stranger))[0] == 404
        for name in _TABLES:
            assert (await system.ask(f"/api/v1/students/{OTHER}/{name}", OTHER))["items"] == []


async def _refund(system: WholeSystem, order_id: str, key: str, body: Json) -> None:
    headers = {**system.gateway.headers(Role.FINANCE, subject="finance-1"), "Idempotency-Key": key}
    path = f"/api/v1/admin/payments/{order_id}/refund"
    status, told = await system.gateway.call("POST", path, json=body, headers=headers)
    assert status == 202, told
