"""The REST API under /v1 with basic auth: orders, payments, refunds. Errors have the provider's own shape."""

import hmac
from collections.abc import Awaitable, Callable
from typing import Annotated

from aiohttp import BasicAuth, web
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from services.sandbox.accounts import RazorpayAccount
from services.sandbox.failures import FailureInjector, Handler
from services.sandbox.razorpay.books import Books, Listed, Refused
from services.sandbox.razorpay.entities import Json, collection_json
from services.sandbox.razorpay.events import RazorpayEvents

_PAGE_MAX = 100
Notes = Annotated[dict[str, str], Field(max_length=15)]
Amount = Annotated[int, Field(ge=100, le=10**12)]
Receipt = Annotated[str | None, Field(max_length=40)]
Answer = Callable[[web.Request], Awaitable[Json]]


class OrderBody(BaseModel):
    model_config = ConfigDict(strict=True)

    amount: Amount
    currency: str = Field(pattern=r"^[A-Z]{3}$")
    receipt: Receipt = None
    notes: Notes = Field(default_factory=dict)
    unique_receipt: bool = False


class RefundBody(BaseModel):
    model_config = ConfigDict(strict=True)

    amount: Amount | None = None
    receipt: Receipt = None
    notes: Notes = Field(default_factory=dict)


def routes(
    account: RazorpayAccount, books: Books, events: RazorpayEvents, failures: FailureInjector
) -> list[web.RouteDef]:
    async def post_order(request: web.Request) -> Json:
        body = OrderBody.model_validate_json(await request.read())
        return books.create_order(**body.model_dump()).to_json()

    async def get_order(request: web.Request) -> Json:
        return books.orders[request.match_info["id"]].to_json()

    async def get_order_payments(request: web.Request) -> Json:
        return collection_json([payment.to_json() for payment in books.payments_of(request.match_info["id"])])

    async def get_payment(request: web.Request) -> Json:
        return books.payments[request.match_info["id"]].to_json()

    async def post_refund(request: web.Request) -> Json:
        payment = books.payments[request.match_info["id"]]
        body = RefundBody.model_validate_json(await request.read() or b"{}")
        key = request.headers.get("X-Refund-Idempotency")
        refund, new = books.refund(payment, amount=body.amount, receipt=body.receipt, notes=body.notes, key=key)
        if new:
            events.refund_changed(refund, payment)
        return refund.to_json()

    async def get_refunds(request: web.Request) -> Json:
        return collection_json([refund.to_json() for refund in books.payments[request.match_info["id"]].refunds])

    def guarded(answer: Answer) -> Handler:
        return failures.wrap("provider", _guarded(account, answer))

    return [
        web.post("/v1/orders", guarded(post_order)),
        web.get("/v1/orders/{id}", guarded(get_order)),
        web.get("/v1/orders/{id}/payments", guarded(get_order_payments)),
        web.get("/v1/payments", guarded(_listing(books, "payments"))),
        web.get("/v1/payments/{id}", guarded(get_payment)),
        web.post("/v1/payments/{id}/refund", guarded(post_refund)),
        web.get("/v1/payments/{id}/refunds", guarded(get_refunds)),
        web.get("/v1/refunds", guarded(_listing(books, "refunds"))),
        web.get("/v1/disputes", guarded(_listing(books, "disputes"))),
    ]


def _listing(books: Books, kind: Listed) -> Answer:
    async def get_list(request: web.Request) -> Json:
        return collection_json(_page(books.listed(kind), request))

    return get_list


def _guarded(account: RazorpayAccount, answer: Answer) -> Handler:
    async def handle(request: web.Request) -> web.Response:
        if not _authenticated(account, request):
            return refusal("Authentication failed", status=401)
        try:
            return web.json_response(await answer(request))
        except KeyError:
            return refusal("The id provided does not exist")
        except (ValidationError, ValueError) as error:
            return refusal(str(error).splitlines()[0])
        except Refused as error:
            return refusal(str(error))

    return handle


def _authenticated(account: RazorpayAccount, request: web.Request) -> bool:
    try:
        given = BasicAuth.decode(request.headers.get("Authorization", ""))
    except ValueError:
        return False
    right_id = hmac.compare_digest(given.login.encode(), account.key_id.encode())
    return right_id and hmac.compare_digest(given.password.encode(), account.key_secret)


def _page(items: list[Json], request: web.Request) -> list[Json]:
    """`from` and `to` in Unix seconds, newest first; at most 100 a page. Raises ValueError for no number."""
    after, before = int(request.query.get("from", 0)), int(request.query.get("to", 2**40))
    count, skip = min(int(request.query.get("count", 10)), _PAGE_MAX), int(request.query.get("skip", 0))
    found = [item for item in reversed(items) if after <= item["created_at"] <= before]
    return found[skip : skip + count]


def refusal(description: str, *, status: int = 400) -> web.Response:
    error = {
        "code": "BAD_REQUEST_ERROR",
        "description": description,
        "source": "business",
        "step": "payment_initiation",
        "reason": "input_validation_failed",
        "metadata": {},
    }
    return web.json_response({"error": error}, status=status)
