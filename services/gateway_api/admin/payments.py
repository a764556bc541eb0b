"""What finance does: send money back, decide about a payment in review.

Neither changes a payment's state by itself. A refund is a task, and the provider's word about it is a fact; a decision
is a fact of its own. The state follows from the facts.
Tables: orders, payments (the facts are read by payments/reads.py and written by payments/writes.py).
"""

from collections.abc import Sequence
from datetime import timedelta

import orjson
from aiohttp import web

from services.common.database import Row, Transaction
from services.common.telemetry.traces import current_traceparent
from services.common.validation import is_id
from services.gateway_api.bodies.admin import RefundBody, ResolveBody
from services.gateway_api.bodies.answers import RefundAnswer, ResolveAnswer
from services.gateway_api.callers import audit
from services.gateway_api.callers.auth import caller_of
from services.gateway_api.callers.idempotency import once
from services.gateway_api.dependencies import Dependencies
from services.gateway_api.limits import RETRY_AFTER_S
from services.gateway_api.payments.reads import read_facts
from services.gateway_api.payments.rows import Recorded, Told
from services.gateway_api.payments.state import Price, derive_state, left_of, payments_to_decide
from services.gateway_api.payments.task_queue import open_staff_refund
from services.gateway_api.payments.writes import Writer
from services.gateway_api.providers import VerifiedPayment
from services.gateway_api.providers.meanings import Meaning
from services.gateway_api.providers.verified import proof_of_person
from services.gateway_api.web.problems import Problem, not_found
from services.gateway_api.web.reading import parse, read_json
from services.gateway_api.web.request_log import note, request_id_of

# The payment row, locked: whatever is decided here is decided about what is there.
_LOCK = """
SELECT payments.order_id, payments.provider, orders.provider_order_id, payments.status, payments.payment_id,
       payments.amount_minor, payments.currency, payments.refunded_minor
  FROM payments JOIN orders USING (order_id)
 WHERE payments.order_id = $1
   FOR UPDATE OF payments
"""
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
                payment = await lock_payment(transaction, request)
                told = await _refund(transaction, payment, body)
                await audit.record(
                    transaction,
                    request,
                    action="payment.refund",
                    target=told.order_id,
                    reason=body.reason,
                    before=told_before(payment),
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
                payment = await lock_payment(transaction, request)
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
                    before=told_before(payment),
                    after=told.model_dump(mode="json"),
                )
                response = await claim.finish(transaction, told, status=200)
        dependencies.outbox_written.set()
        return response

    return [
        web.post("/api/v1/admin/payments/{orderId}/refund", refund),
        web.post("/api/v1/admin/payments/{orderId}/resolve", resolve),
    ]


async def lock_payment(transaction: Transaction, request: web.Request) -> Row:
    """Raises Problem 404."""
    order_id = request.match_info["orderId"]
    row = await transaction.fetchrow(_LOCK, order_id) if is_id(order_id) else None
    if row is None:
        raise not_found()
    note(request, orderId=order_id)
    return row


async def _refund(transaction: Transaction, payment: Row, body: RefundBody) -> RefundAnswer:
    """Raises Problem 409."""
    payment_id = body.payment_id or payment["payment_id"]
    left = await left_to_send(transaction, payment, payment_id, body.amount_minor)
    refund_id = await open_staff_refund(transaction, payment["order_id"], payment_id, amount_minor=body.amount_minor)
    if refund_id is None:
        raise refund_running()
    return RefundAnswer(
        order_id=payment["order_id"],
        payment_id=payment_id,
        refund_id=refund_id,
        amount_minor=body.amount_minor or left.amount_minor,
        currency=left.currency,
        status="pending",
    )


async def left_to_send(
    transaction: Transaction, payment: Row, payment_id: str | None, amount_minor: int | None
) -> Price:
    """What can go back: of the payment that pays the order, or of one that is owed. Raises Problem 409 when that is
    nothing, or less than `amount_minor`.
    """
    price, facts = price_of(payment), await read_facts(transaction, payment["order_id"])
    if payment_id == payment["payment_id"]:
        may_go_back = payment["status"] not in {"refunded", "charged_back"}
    else:
        may_go_back = payment_id in derive_state(price, facts, payment["payment_id"]).owed
    if payment_id is not None and may_go_back:
        left = left_of(price, facts, payment_id)
    else:
        left = Price(amount_minor=0, currency=price.currency)
    if not 0 < (amount_minor or left.amount_minor) <= left.amount_minor:
        raise Problem(
            "not-refundable",
            409,
            "So much cannot be sent back",
            leftMinor=left.amount_minor,
            paymentStatus=payment["status"],
        )
    return left


def refund_running() -> Problem:
    headers = {"Retry-After": str(RETRY_AFTER_S)}
    return Problem("refund-running", 409, "Another refund of this order is under way", headers=headers)


async def _resolve(
    transaction: Transaction, request: web.Request, writer: Writer, payment: Row, body: ResolveBody
) -> Recorded:
    """Raises Problem 409 for a payment that is not in review, was rejected before, or is to pay two orders."""
    if payment["status"] != "review":
        raise Problem("not-in-review", 409, "This payment is not in review", paymentStatus=payment["status"])
    about = await _about(transaction, payment, body)
    if not about:
        raise Problem("not-in-review", 409, "The money is on its way back already", paymentStatus=payment["status"])
    told = [_decision(request, payment, payment_id, body) for payment_id in about]
    recorded = await writer.write(transaction, told, wait=True)
    last = recorded[-1]
    assert last is not None
    if body.decision == "accept" and last.accepted is None:
        raise Problem("payment-of-another-order", 409, "This payment pays another order", paymentId=about[0])
    return last


async def _about(transaction: Transaction, payment: Row, body: ResolveBody) -> Sequence[str]:
    """Ids of the payments that a decision is about: one pays the order; without one, all that wait go back. None when
    each was rejected before.
    """
    open_ones = payments_to_decide(price_of(payment), await read_facts(transaction, payment["order_id"]))
    if payment["payment_id"] is not None:
        return [one for one in open_ones if one == payment["payment_id"]]
    return open_ones[:1] if body.decision == "accept" else open_ones


def price_of(payment: Row) -> Price:
    return Price(amount_minor=payment["amount_minor"], currency=payment["currency"])


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


def told_before(payment: Row) -> dict[str, object]:
    return {"status": payment["status"], "refundedMinor": payment["refunded_minor"]}
