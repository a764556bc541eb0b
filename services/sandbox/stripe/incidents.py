"""What Stripe does without being asked: a bank opens a dispute, and decides it."""

import time

from aiohttp import web

from services.sandbox.stripe.api import no_such_intent
from services.sandbox.stripe.events import StripeEvents
from services.sandbox.stripe.intents import Intent, Intents, Json, new_id

_STATUS = {"created": "needs_response", "updated": "under_review", "won": "won", "lost": "lost"}


def routes(intents: Intents, events: StripeEvents) -> list[web.RouteDef]:
    """POST /control/intents/{intentId}/dispute/{created|updated|won|lost}."""

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

    return [web.post("/control/intents/{id}/dispute/{change}", dispute)]


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
