"""What finance does: send money back, decide about a payment in review.

Neither changes a payment's state by itself. A refund is a task, and the provider's word about it is a fact; a decision
is a fact of its own. The state follows from the facts.
Tables: orders, payments, payment_facts (read; the facts are written by payment_writes.py).
"""

from collections.abc import Sequence
from datetime import timedelta

import orjson
from aiohttp import web

from services.common.database import Row, Transaction
from services.common.telemetry import current_traceparent
from services.common.validation import is_id
from services.gateway_api import audit
from services.gateway_api.admin_bodies import RefundBody, ResolveBody
from services.gateway_api.answers import RefundAnswer, ResolveAnswer
from services.gateway_api.auth import caller_of, not_found
from services.gateway_api.dependencies import Dependencies
from services.gateway_api.idempotency import once
from services.gateway_api.limits import RETRY_AFTER_S
from services.gateway_api.payment_rows import Recorded, Told
from services.gateway_api.payment_tasks import open_staff_refund
from services.gateway_api.payment_writes import Writer
from services.gateway_api.payments import Meaning
from services.gateway_api.problems import Problem
from services.gateway_api.providers import VerifiedPayment
from services.gateway_api.providers.verified import proof_of_person
from services.gateway_api.reading import parse, read_json
from services.gateway_api.request_log import note, request_id_of

# The payment row, locked: whatever is decided here is decided about what is there.
_LOCK = """
SELECT payments.order_id, payments.provider, orders.provider_order_id, payments.status, payments.payment_id,
       payments.amount_minor, payments.currency, payments.refunded_minor
  FROM payments JOIN orders USING (order_id)
 WHERE payments.order_id = $1
   FOR UPDATE OF payments
"""
# Payments that took money, in the order in which that became known.
_PAID = """
SELECT payment_id FROM payment_facts
 WHERE order_id = $1 AND status = ANY ($2::text[]) AND payment_id IS NOT NULL
 GROUP BY payment_id ORDER BY min(id)
"""
_IS_REJECTED = "SELECT EXISTS (SELECT FROM payment_facts WHERE order_id = $1 AND status = $2)"
_SUCCESSES = [Meaning.CAPTURED, Meaning.SIGNED]
_MEANING_OF = {"accept": Meaning.ACCEPTED, "refund": Meaning.REJECTED}


def routes(dependencies: Dependencies) -> list[web.RouteDef]:
    database = dependencies.database
    writer = Writer(dependencies.codec, verify_in=timedelta(seconds=dependencies.settings.verify_delay_s))

    async def refund(request: web.Request) -> web.Response:
        payload = await read_json(request)
        body = parse(RefundBody, payload)
        async with once(database, request, payload, required=True) as claim:
            if claim.stored is not None:
                return claim.stored
            async with database.transaction() as transaction:
                payment = await _lock(transaction, request)
                told = await _refund(transaction, payment, body)
                await audit.record(
                    transaction,
                    request,
                    action="payment.refund",
                    target=told.order_id,
                    reason=body.reason,
                    before=_before(payment),
                    after=told.model_dump(mode="json"),
                )
                location = f"/api/v1/payments/{told.order_id}"
                return await claim.finish(transaction, told, status=202, location=location)

    async def resolve(request: web.Request) -> web.Response:
        payload = await read_json(request)
        body = parse(ResolveBody, payload)
        async with once(database, request, payload, required=False) as claim:
            if claim.stored is not None:
                return claim.stored
            async with database.transaction() as transaction:
                payment = await _lock(transaction, request)
                recorded = await _resolve(transaction, request, writer, payment, body)
                told = ResolveAnswer(
                    order_id=payment["order_id"],
                    decision=body.decision,
                    status=recorded.status,
                    payment_id=recorded.accepted,
                    confirmed_at=recorded.confirmed_at,
                )
                await audit.record(
                    transaction,
                    request,
                    action="payment.resolve",
                    target=told.order_id,
                    reason=body.reason,
                    before=_before(payment),
                    after=told.model_dump(mode="json"),
                )
                response = await claim.finish(transaction, told, status=200)
        dependencies.outbox_written.set()
        return response

    return [
        web.post("/api/v1/admin/payments/{orderId}/refund", refund),
        web.post("/api/v1/admin/payments/{orderId}/resolve", resolve),
    ]


async def _lock(transaction: Transaction, request: web.Request) -> Row:
    """Raises Problem 404."""
    order_id = request.match_info["orderId"]
    row = await transaction.fetchrow(_LOCK, order_id) if is_id(order_id) else None
    if row is None:
        raise not_found()
    note(request, orderId=order_id)
    return row


async def _refund(transaction: Transaction, payment: Row, body: RefundBody) -> RefundAnswer:
    """Raises Problem 409."""
    left_minor = payment["amount_minor"] - payment["refunded_minor"]
    if payment["payment_id"] is None or payment["status"] in {"refunded", "charged_back"}:
        left_minor = 0
    if not 0 < (body.amount_minor or left_minor) <= left_minor:
        raise Problem(
            "not-refundable",
            409,
            "So much cannot be sent back",
            leftMinor=left_minor,
            paymentStatus=payment["status"],
        )
    refund_id = await open_staff_refund(
        transaction, payment["order_id"], payment["payment_id"], amount_minor=body.amount_minor
    )
    if refund_id is None:
        headers = {"Retry-After": str(RETRY_AFTER_S)}
        raise Problem("refund-running", 409, "Another refund of this order is under way", headers=headers)
    return RefundAnswer(
        order_id=payment["order_id"],
        payment_id=payment["payment_id"],
        refund_id=refund_id,
        amount_minor=body.amount_minor or left_minor,
        currency=payment["currency"],
        status="pending",
    )


async def _resolve(
    transaction: Transaction, request: web.Request, writer: Writer, payment: Row, body: ResolveBody
) -> Recorded:
    """Raises Problem 409 for a payment that is not in review, or was rejected before."""
    if payment["status"] != "review":
        raise Problem("not-in-review", 409, "This payment is not in review", paymentStatus=payment["status"])
    if body.decision == "accept" and await transaction.fetchval(_IS_REJECTED, payment["order_id"], Meaning.REJECTED):
        raise Problem("not-in-review", 409, "The money is on its way back already", paymentStatus=payment["status"])
    told = [_decision(request, payment, payment_id, body) for payment_id in await _about(transaction, payment, body)]
    recorded = await writer.write(transaction, told, wait=True)
    last = recorded[-1]
    assert last is not None
    return last


async def _about(transaction: Transaction, payment: Row, body: ResolveBody) -> Sequence[str]:
    """Ids of the payments that a decision is about. One pays the order; without one, all that took money go back."""
    if payment["payment_id"] is not None:
        return [payment["payment_id"]]
    paid = [row["payment_id"] for row in await transaction.fetch(_PAID, payment["order_id"], _SUCCESSES)]
    return paid[:1] if body.decision == "accept" else paid


def _decision(request: web.Request, payment: Row, payment_id: str, body: ResolveBody) -> Told:
    subject = caller_of(request).subject
    said = {
        "decision": body.decision,
        "reason": body.reason,
        "by": subject,
        "paymentId": payment_id,
        "requestId": request_id_of(request),
    }
    fact = VerifiedPayment(
        proof=proof_of_person(subject),
        provider=payment["provider"],
        source="staff",
        event=f"review.{body.decision}",
        body=orjson.dumps(said),
        provider_order_id=payment["provider_order_id"],
        payment_id=payment_id,
        entity_id=payment_id,
        meaning=_MEANING_OF[body.decision],
    )
    return Told(fact=fact, traceparent=current_traceparent())


def _before(payment: Row) -> dict[str, object]:
    return {"status": payment["status"], "refundedMinor": payment["refunded_minor"]}
