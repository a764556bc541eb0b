"""Refunds and disputes through every service: the purchase, its sessions, the counters, the student; nobody else."""

from typing import Any

from services.common.settings import Settings
from services.gateway_api.callers.roles import Role
from tests.support.checkout import dispute_entity, send_webhook
from tests.support.eventually import eventually
from tests.support.gateway import SCHEDULE
from tests.support.payment_work import task_workers
from tests.support.staff import ask, put_trainer
from tests.support.whole_system import WholeSystem, whole_system

_STANDING = """
SELECT bought.status, bought.sessions_total, COALESCE(progress.sessions_completed, 0) AS counted,
       count(*) FILTER (WHERE session.status = 'scheduled')::int AS scheduled,
       count(*) FILTER (WHERE session.status = 'completed')::int AS completed
  FROM student_course_purchases bought
  LEFT JOIN student_course_progress progress ON progress.purchase_id = bought.id
  LEFT JOIN trainer_allocations allocation ON allocation.purchase_id = bought.id
  LEFT JOIN tutoring_sessions session ON session.allocation_id = allocation.id
 WHERE bought.order_id = $1
 GROUP BY bought.id, progress.purchase_id
"""
_FIRST = """
UPDATE tutoring_sessions SET starts_at = now() - interval '2 hours', ends_at = now() - interval '1 hour'
 WHERE id = (SELECT session.id FROM tutoring_sessions session
               JOIN trainer_allocations allocation ON allocation.id = session.allocation_id
               JOIN student_course_purchases bought ON bought.id = allocation.purchase_id
              WHERE bought.order_id = $1 ORDER BY session.sequence_no LIMIT 1)
RETURNING id::text
"""


async def _becomes(system: WholeSystem, order_id: str, *wanted: object) -> None:
    """Purchase status, sessions_total, completed by the counter, scheduled, completed."""

    async def is_so() -> bool:
        rows = await system.fetch(_STANDING, order_id)
        assert [tuple(row.values()) for row in rows] == [wanted]
        return True

    await eventually(is_so, within_s=60)


async def _refund(system: WholeSystem, order_id: str, key: str, body: dict[str, Any]) -> None:
    headers = {**system.gateway.headers(Role.FINANCE, subject="finance-1"), "Idempotency-Key": key}
    path = f"/api/v1/admin/payments/{order_id}/refund"
    status, told = await system.gateway.call("POST", path, json=body, headers=headers)
    assert status == 202, told


async def _dispute(system: WholeSystem, order_id: str, status: str, dispute_id: str) -> None:
    [payment] = await system.fetch("SELECT payment_id FROM payments WHERE order_id = $1", order_id)
    entity = dispute_entity(payment["payment_id"], status, dispute_id)
    assert (await send_webhook(system.gateway, f"payment.dispute.{status}", dispute=entity))[0] == 200


async def test_money_that_goes_back_takes_its_own_course_along_and_no_other(settings: Settings) -> None:
    async with whole_system(settings) as system, task_workers(system.gateway):
        await put_trainer(system.gateway)
        order, other = [
            await system.buy(key=f"key-{slot}", schedule={**SCHEDULE, "timeSlot": slot}) for slot in ("18:00", "20:00")
        ]
        for order_id in (order, other):
            await _becomes(system, order_id, "active", 10, 0, 10, 0)
        [first] = await system.fetch(_FIRST, order)
        assert (await ask(system.gateway, "POST", f"/sessions/{first['id']}/complete", {}))[0] == 200

        await _refund(system, order, "refund-1", {"amountMinor": 200_000, "reason": "four lessons less"})
        await _becomes(system, order, "active", 6, 1, 5, 1)
        await _dispute(system, order, "open", "disp_1")
        await _becomes(system, order, "frozen", 6, 1, 5, 1)
        await _dispute(system, order, "won", "disp_1")
        await _becomes(system, order, "active", 6, 1, 5, 1)
        await _refund(system, order, "refund-2", {"reason": "the student moved away"})
        # What was taught stays on record, and is what the purchase holds.
        await _becomes(system, order, "revoked", 1, 1, 0, 1)
        await _becomes(system, other, "active", 10, 0, 10, 0)

        await _dispute(system, other, "open", "disp_2")
        await _becomes(system, other, "frozen", 10, 0, 10, 0)
        await _dispute(system, other, "lost", "disp_2")
        await _becomes(system, other, "revoked", 0, 0, 0, 0)

        async def each_change_was_told() -> bool:
            rows = await system.fetch(
                "SELECT order_id, count(*)::int FROM notifications"
                " WHERE event_type = 'PurchaseAdjusted' AND status = 'sent' GROUP BY order_id"
            )
            return {row["order_id"]: row["count"] for row in rows} == {order: 4, other: 2}

        await eventually(each_change_was_told, within_s=60)
