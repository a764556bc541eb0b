"""The REST API under /v1: form-encoded bodies, bearer or basic auth with the secret key, idempotency keys on POST."""

import hmac
import time
from collections.abc import Callable

from aiohttp import BasicAuth, web
from pydantic import BaseModel, Field

from services.sandbox.accounts import StripeAccount
from services.sandbox.failures import FailureInjector, Handler
from services.sandbox.stripe.events import StripeEvents
from services.sandbox.stripe.idempotency import Answer, Answered, Form, error_json
from services.sandbox.stripe.intents import Intent, Intents, Json, new_id

_PAGE_MAX = 100


class IntentBody(BaseModel):
    amount: int = Field(ge=50, le=10**10)
    currency: str = Field(pattern=r"^[a-z]{3}$")


class RefundBody(BaseModel):
    payment_intent: str
    amount: int | None = Field(default=None, ge=1)


def routes(
    account: StripeAccount, intents: Intents, events: StripeEvents, failures: FailureInjector
) -> list[web.RouteDef]:
    answered = Answered()

    async def create_intent(form: Form) -> Answer:
        body = IntentBody.model_validate(form)
        intent = Intent(amount=body.amount, currency=body.currency, metadata=_metadata(form))
        intents.add(intent)
        return 200, intent.to_json()

    async def get_intent(request: web.Request) -> web.Response:
        intent = intents.by_id.get(request.match_info["id"])
        return no_such_intent() if intent is None else web.json_response(intent.to_json())

    async def create_refund(form: Form) -> Answer:
        body = RefundBody.model_validate(form)
        intent = intents.by_id.get(body.payment_intent)
        if intent is None or intent.status != "succeeded":
            return 404, error_json("resource_missing", "No such payment_intent")
        left = intent.amount - intent.amount_refunded
        amount = left if body.amount is None else body.amount
        if not 0 < amount <= left:
            return 400, error_json("charge_already_refunded", "The refund is greater than the unrefunded amount")
        intent.amount_refunded += amount
        events.send("charge.refunded", intent.charge_json())
        refund = {
            "id": new_id("re_"),
            "object": "refund",
            "payment_intent": intent.id,
            "charge": intent.charge_id,
            "amount": amount,
            "currency": intent.currency,
            "status": "succeeded",
            "created": int(time.time()),
        }
        intents.refunds.append(refund)
        return 200, refund

    def listing(items: Callable[[], list[Json]]) -> Handler:
        async def get_list(request: web.Request) -> web.Response:
            return web.json_response(_page(items(), request))

        return guarded(get_list)

    def guarded(handler: Handler) -> Handler:
        return failures.wrap("provider", _authenticated(account, handler))

    return [
        web.post("/v1/payment_intents", guarded(answered.once(create_intent))),
        web.get("/v1/payment_intents/{id}", guarded(get_intent)),
        web.post("/v1/refunds", guarded(answered.once(create_refund))),
        web.get("/v1/payment_intents", listing(lambda: [intent.to_json() for intent in intents.by_id.values()])),
        web.get("/v1/refunds", listing(lambda: intents.refunds)),
        web.get("/v1/disputes", listing(lambda: list(intents.disputes.values()))),
    ]


def _authenticated(account: StripeAccount, handler: Handler) -> Handler:
    async def handle(request: web.Request) -> web.StreamResponse:
        header = request.headers.get("Authorization", "")
        try:
            given = header.removeprefix("Bearer ") if header.startswith("Bearer ") else BasicAuth.decode(header).login
        except ValueError:
            given = ""
        if not hmac.compare_digest(given.encode(), account.api_key):
            return web.json_response({"error": {"type": "invalid_request_error"}}, status=401)
        return await handler(request)

    return handle


def _page(items: list[Json], request: web.Request) -> Json:
    """Newest first, those after `starting_after`, of the time between `created[gte]` and `created[lte]`."""
    query = request.query
    after, before = int(query.get("created[gte]", 0)), int(query.get("created[lte]", 2**40))
    found = [item for item in reversed(items) if after <= item["created"] <= before]
    ids = [item["id"] for item in found]
    start = ids.index(query["starting_after"]) + 1 if "starting_after" in query else 0
    end = start + min(int(query.get("limit", 10)), _PAGE_MAX)
    return {"object": "list", "url": request.path, "has_more": end < len(found), "data": found[start:end]}


def _metadata(form: Form) -> dict[str, str]:
    return {name[len("metadata[") : -1]: value for name, value in form.items() if name.startswith("metadata[")}


def no_such_intent() -> web.Response:
    return web.json_response(error_json("resource_missing", "No such payment_intent"), status=404)
