"""GET /api/v1/payments/{orderId}: how far a payment is, from the order to the trainer.

While something is to come the answer says in Retry-After when to ask again, and repeated questions are cheap: the ETag
is that of the body.

Tables, all read only: orders, payments, student_course_purchases, trainer_allocations.
"""

from aiohttp import hdrs, web

from services.common.database import Transaction
from services.common.validation import is_id
from services.gateway_api.bodies.allocation_items import ALLOCATION_COLUMNS, allocation_item_from
from services.gateway_api.bodies.answers import AllocationItem, PaymentAnswer, PurchaseItem
from services.gateway_api.callers.auth import require_owner
from services.gateway_api.dependencies import Dependencies
from services.gateway_api.limits import POLL_S_MAX, POLL_S_MIN
from services.gateway_api.students.learning import purchase_item_from
from services.gateway_api.web.json_answers import answer_if_changed
from services.gateway_api.web.problems import not_found

_PAYMENT = """
SELECT payments.order_id, payments.status, payments.payment_id, payments.amount_minor, payments.currency,
       payments.confirmed_at, orders.student_id,
       extract(epoch FROM clock_timestamp() - coalesce(payments.confirmed_at, orders.created_at))::float AS waited_s
  FROM payments JOIN orders USING (order_id)
 WHERE payments.order_id = $1
"""
_PURCHASE = """
SELECT id, order_id, course_id, purchase_tier, status, purchase_date, expiry_date
  FROM student_course_purchases WHERE order_id = $1
"""
# The live one, else the newest of the cancelled ones.
_ALLOCATION = f"""
SELECT {ALLOCATION_COLUMNS}
  FROM trainer_allocations allocation JOIN student_course_purchases bought ON bought.id = allocation.purchase_id
 WHERE bought.order_id = $1
 ORDER BY allocation.status = 'cancelled', allocation.created_at DESC
 LIMIT 1
"""  # noqa: S608 - our own column list


def routes(dependencies: Dependencies) -> list[web.RouteDef]:
    async def get_payment(request: web.Request) -> web.Response:
        order_id = request.match_info["orderId"]
        if not is_id(order_id):
            raise not_found()
        async with dependencies.database.connection() as connection:
            row = await connection.fetchrow(_PAYMENT, order_id)
            if row is None:
                raise not_found()
            require_owner(request, row["student_id"])
            purchase, allocation = await _provisioned(connection, order_id)
        payment = PaymentAnswer(
            order_id=row["order_id"],
            status=row["status"],
            payment_id=row["payment_id"],
            amount_minor=row["amount_minor"],
            currency=row["currency"],
            confirmed_at=row["confirmed_at"],
            purchase=purchase,
            allocation=allocation,
        )
        again_s = poll_again_s(payment, row["waited_s"])
        headers: dict[str, str] = {} if again_s is None else {hdrs.RETRY_AFTER: str(again_s)}
        return answer_if_changed(request, payment, headers=headers)

    return [web.get("/api/v1/payments/{orderId}", get_payment)]


def poll_again_s(payment: PaymentAnswer, waited_s: float) -> int | None:
    """Seconds until asking again may tell more: a tenth of the time waited so far, within limits; the longest where a
    person decides; None when nothing more is to come by itself.
    """
    if payment.status == "review":
        return POLL_S_MAX
    if payment.status not in {"created", "succeeded"}:
        return None
    allocation = payment.allocation.status if payment.allocation is not None else None
    if allocation == "pending":
        return POLL_S_MAX
    return max(POLL_S_MIN, min(POLL_S_MAX, int(waited_s / 10))) if allocation is None else None


async def _provisioned(connection: Transaction, order_id: str) -> tuple[PurchaseItem | None, AllocationItem | None]:
    purchase = await connection.fetchrow(_PURCHASE, order_id)
    if purchase is None:
        return None, None
    allocation = await connection.fetchrow(_ALLOCATION, order_id)
    return purchase_item_from(purchase), allocation_item_from(allocation) if allocation is not None else None
