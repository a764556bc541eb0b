"""What finance writes down: money of a payment that went back past the provider, as by a bank transfer.

It is a fact of its own, from which the state follows: the student is told as of any refund. Whatever was to send the
same money, or was given up, ends in the same transaction; one that is at work just now is waited for, because the
provider may be sending it.
Tables: payments (payment_tasks through payments/task_queue.py, the rest through payments/writes.py and payments.py).
"""

from datetime import timedelta

import orjson
from aiohttp import web

from services.common.database import Row, Transaction
from services.common.telemetry.traces import current_traceparent
from services.gateway_api.admin.payments import (
    left_to_send,
    lock_payment,
    price_of,
    refund_running,
    told_before,
)
from services.gateway_api.bodies.admin import SettleBody
from services.gateway_api.bodies.models import Answer
from services.gateway_api.callers import audit
from services.gateway_api.callers.auth import caller_of
from services.gateway_api.callers.idempotency import once
from services.gateway_api.dependencies import Dependencies
from services.gateway_api.payments.reads import read_facts
from services.gateway_api.payments.rows import Told
from services.gateway_api.payments.state import left_of
from services.gateway_api.payments.task_queue import end_settled_refunds, hold_refunds
from services.gateway_api.payments.writes import Writer
from services.gateway_api.providers import VerifiedPayment
from services.gateway_api.providers.meanings import Meaning
from services.gateway_api.providers.verified import proof_of_person
from services.gateway_api.web.problems import Problem
from services.gateway_api.web.reading import parse, read_json
from services.gateway_api.web.request_log import note, request_id_of

_AFTER = "SELECT status, refunded_minor FROM payments WHERE order_id = $1"


class SettleAnswer(Answer):
    """`status`, `refundedMinor`: of the order now, in its currency. `leftMinor`: of the payment, still to go back."""

    order_id: str
    payment_id: str
    reference: str
    amount_minor: int
    currency: str
    status: str
    refunded_minor: int
    left_minor: int


def routes(dependencies: Dependencies) -> list[web.RouteDef]:
    database = dependencies.database
    writer = Writer(dependencies.codec, verify_in=timedelta(seconds=dependencies.settings.verify_delay_s))

    async def settle(request: web.Request) -> web.Response:
        payload = await read_json(request)
        body = parse(SettleBody, payload)
        async with once(database, request, payload, required=True) as claim:
            if claim.stored is not None:
                return claim.stored
            async with database.transaction() as transaction:
                payment = await lock_payment(transaction, request)
                told = await _settle(transaction, request, writer, payment, body)
                await audit.record(
                    transaction,
                    request,
                    action="payment.settle",
                    target=told.order_id,
                    reason=body.reason,
                    before=told_before(payment),
                    after=told.model_dump(mode="json"),
                )
                response = await claim.finish(transaction, told, status=200)
        dependencies.outbox_written.set()
        return response

    return [web.post("/api/v1/admin/payments/{orderId}/settle", settle)]


async def _settle(
    transaction: Transaction, request: web.Request, writer: Writer, payment: Row, body: SettleBody
) -> SettleAnswer:
    """Raises Problem 409."""
    order_id, payment_id = payment["order_id"], body.payment_id or payment["payment_id"]
    if payment_id is not None and not await hold_refunds(transaction, order_id, payment_id):
        raise refund_running()
    before = await left_to_send(transaction, payment, payment_id, body.amount_minor)
    note(request, paymentId=payment_id)
    fact = _settlement(request, payment, payment_id, body, before.currency)
    [recorded] = await writer.write(transaction, [Told(fact=fact, traceparent=current_traceparent())], wait=True)
    if recorded is None or not recorded.new:
        raise Problem("transfer-already-recorded", 409, "This transfer was recorded before", reference=body.reference)
    left = left_of(price_of(payment), await read_facts(transaction, order_id), payment_id)
    assert fact.entity_id is not None
    is_clear = await end_settled_refunds(
        transaction, order_id, payment_id, settled_by=fact.entity_id, is_all=left.amount_minor == 0
    )
    if not is_clear:
        raise refund_running()
    after = await transaction.fetchrow(_AFTER, order_id)
    assert after is not None
    return SettleAnswer(
        order_id=order_id,
        payment_id=payment_id,
        reference=body.reference,
        amount_minor=body.amount_minor,
        currency=before.currency,
        status=after["status"],
        refunded_minor=after["refunded_minor"],
        left_minor=left.amount_minor,
    )


def _settlement(
    request: web.Request, payment: Row, payment_id: str, body: SettleBody, currency: str
) -> VerifiedPayment:
    """What it is about is the transfer: the same one, told by somebody else again, is the same fact."""
    subject = caller_of(request).subject
    said = {
        "amountMinor": body.amount_minor,
        "currency": currency,
        "reference": body.reference,
        "reason": body.reason,
        "by": subject,
        "paymentId": payment_id,
        "requestId": request_id_of(request),
    }
    return VerifiedPayment(
        proof=proof_of_person(subject),
        provider=payment["provider"],
        source="staff",
        event="payment.settle",
        body=orjson.dumps(said),
        provider_order_id=payment["provider_order_id"],
        payment_id=payment_id,
        entity_id=f"{payment_id} {body.reference}",
        meaning=Meaning.SETTLED,
        amount_minor=body.amount_minor,
        currency=currency,
    )
