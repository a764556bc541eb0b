"""What Stripe does without being asked: a bank opens a dispute and decides it, or sends a refund back; a payment that
was on its way, or declined, succeeds late.
"""

import time

from aiohttp import web

from services.sandbox.stripe.api import no_such_intent
from services.sandbox.stripe.events import StripeEvents
from services.sandbox.stripe.intents import Intent, Intents, Json, new_id

_STATUS = {"created": "needs_response", "updated": "under_review", "won": "won", "lost": "lost"}


def routes(intents: Intents, events: StripeEvents) -> list[web.RouteDef]:
    """POST /control/intents/{intentId}/dispute/{created|updated|won|lost}; POST /control/intents/{intentId}/succeed;
    POST /control/refunds/{refundId}/fail.
    """

    async def dispute(request: web.Request) -> web.Response:
        intent, change = intents.by_id.get(request.match_info["id"]), request.match_info["change"]
        if intent is None or intent.status != "succeeded" or change not in _STATUS:
            return no_such_intent()
        known = intents.disputes.get(intent.id)
        entity = _dispute_json(known["id"] if known else new_id("dp_"), intent, _STATUS[change])
        intents.disputes[intent.id] = entity
        name = "closed" if change in {"won", "lost"} else change
        events.send(f"charge.dispute.{name}", entity)
        return web.json_response(entity)

    async def succeed(request: web.Request) -> web.Response:
        intent = intents.by_id.get(request.match_info["id"])
        if intent is None or intent.status not in {"processing", "requires_payment_method"}:
            return no_such_intent()
        intent.status = "succeeded"
        events.send("payment_intent.succeeded", intent.to_json())
        return web.json_response(intent.to_json())

    async def fail_refund(request: web.Request) -> web.Response:
        refund = next((one for one in intents.refunds if one["id"] == request.match_info["id"]), None)
        if refund is None or refund["status"] != "succeeded":
            return no_such_intent()
        refund["status"] = "failed"
        intents.by_id[refund["payment_intent"]].amount_refunded -= refund["amount"]
        events.send("refund.failed", refund)
        return web.json_response(refund)

    return [
        web.post("/control/intents/{id}/dispute/{change}", dispute),
        web.post("/control/intents/{id}/succeed", succeed),
        web.post("/control/refunds/{id:re_[0-9a-f]+}/fail", fail_refund),
    ]


def _dispute_json(dispute_id: str, intent: Intent, status: str) -> Json:
    return {
        "id": dispute_id,
        "object": "dispute",
        "amount": intent.amount,
        "currency": intent.currency,
        "charge": intent.charge_id,
        "payment_intent": intent.id,
        "reason": "general",
        "status": status,
        "livemode": False,
        "created": int(time.time()),
    }
