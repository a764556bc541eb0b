"""What a provider does without being asked: a bank opens a dispute or sends a refund back, a payment is authorised days
late.
"""

import time

from aiohttp import web

from services.sandbox.razorpay.api import refusal
from services.sandbox.razorpay.books import Books, Refused
from services.sandbox.razorpay.entities import Json, Payment, new_id
from services.sandbox.razorpay.events import RazorpayEvents

_DISPUTE_STATUS = {"created": "open", "under_review": "under_review", "won": "won", "lost": "lost", "closed": "closed"}


def routes(books: Books, events: RazorpayEvents) -> list[web.RouteDef]:
    """POST /control/payments/{paymentId}/dispute/{created|under_review|won|lost|closed};
    POST /control/payments/{paymentId}/capture: a failed or authorised payment succeeds after all;
    POST /control/refunds/{refundId}/fail: a refund that was made comes back.
    """

    async def dispute(request: web.Request) -> web.Response:
        payment, change = books.payments.get(request.match_info["id"]), request.match_info["change"]
        if payment is None or change not in _DISPUTE_STATUS:
            return refusal("The id provided does not exist")
        known = books.disputes.get(payment.id)
        entity = _dispute_json(known["id"] if known else new_id("disp_"), payment, change)
        books.disputes[payment.id] = entity
        events.dispute_changed(entity, payment, change)
        return web.json_response(entity)

    async def capture(request: web.Request) -> web.Response:
        payment = books.payments.get(request.match_info["id"])
        if payment is None or payment.status not in {"failed", "authorized"}:
            return refusal("The payment cannot be captured")
        books.move(payment, "captured")
        events.payment_changed(payment, books.orders[payment.order_id])
        return web.json_response(payment.to_json())

    async def fail_refund(request: web.Request) -> web.Response:
        try:
            refund, payment = books.fail_refund(request.match_info["id"])
        except Refused as error:
            return refusal(str(error))
        events.refund_changed(refund, payment)
        return web.json_response(refund.to_json())

    return [
        web.post("/control/payments/{id}/dispute/{change}", dispute),
        web.post("/control/payments/{id}/capture", capture),
        web.post("/control/refunds/{id:rfnd_[A-Za-z0-9]+}/fail", fail_refund),
    ]


def _dispute_json(dispute_id: str, payment: Payment, change: str) -> Json:
    return {
        "id": dispute_id,
        "entity": "dispute",
        "payment_id": payment.id,
        "amount": payment.amount,
        "currency": payment.currency,
        "amount_deducted": payment.amount if change == "lost" else 0,
        "reason_code": "processing_error",
        "respond_by": int(time.time()) + 7 * 24 * 3600,
        "status": _DISPUTE_STATUS[change],
        "phase": "chargeback",
        "created_at": int(time.time()),
    }
