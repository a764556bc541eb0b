"""Where a student pays: POST /checkout/{intentId}/pay, `{"status": "succeeded" | "processing" | "failed"}`."""

from typing import Annotated, Literal

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field

from services.sandbox.stripe.events import StripeEvents
from services.sandbox.stripe.intents import Intents


class Payer(BaseModel):
    """`callback` lost: the payment is made, and the page dies before the browser carries anything back."""

    model_config = ConfigDict(extra="forbid")

    status: Literal["succeeded", "processing", "failed"] = "succeeded"
    callback: Literal["sent", "lost"] = "sent"
    webhook_delay_s: Annotated[float, Field(ge=0, le=3600)] = 0


def routes(intents: Intents, events: StripeEvents) -> list[web.RouteDef]:
    async def pay(request: web.Request) -> web.Response:
        intent = intents.by_id.get(request.match_info["id"])
        if intent is None or intent.status == "succeeded":
            return web.json_response({"error": "no such open intent"}, status=400)
        try:
            payer = Payer.model_validate(await request.json() if request.can_read_body else {})
        except ValueError:
            return web.json_response({"error": "unreadable"}, status=400)
        intent.declined = payer.status == "failed"
        if payer.status != "failed":
            intent.status = payer.status
        name = "payment_failed" if intent.declined else payer.status
        events.send(f"payment_intent.{name}", intent.to_json(), delay_s=payer.webhook_delay_s)
        if payer.callback == "lost":
            return web.Response(text="the page has died", status=504)
        answer = {"provider": "stripe", "payment_intent": intent.id}
        return web.json_response(answer, status=402 if intent.declined else 200)

    return [web.post("/checkout/{id:pi_[0-9a-f]+}/pay", pay)]
