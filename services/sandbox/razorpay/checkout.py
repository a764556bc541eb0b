"""Where a student pays: a page for people, one POST for programs. Both make a payment, sign the callback and fire the
webhooks; nobody can tell which of the two reaches the gateway first.
"""

import html
from typing import Annotated, Literal

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field

from services.sandbox.accounts import RazorpayAccount
from services.sandbox.razorpay.api import refusal
from services.sandbox.razorpay.books import Books, Refused
from services.sandbox.razorpay.entities import Order, Payment
from services.sandbox.razorpay.events import RazorpayEvents, sign

_PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><title>Sandbox checkout</title>
<body style="font-family:sans-serif;max-width:32rem;margin:3rem auto">{content}</body></html>"""


class Payer(BaseModel):
    """What the student does. `amount`: another than the order's, to try out a mismatch. `callback` lost: the payment is
    made, and the page dies before the browser carries anything back.
    """

    model_config = ConfigDict(extra="forbid")

    method: Literal["upi", "card", "netbanking", "wallet"] = "upi"
    status: Literal["captured", "authorized", "failed"] = "captured"
    amount: Annotated[int | None, Field(ge=1, le=10**12)] = None
    callback: Literal["sent", "lost"] = "sent"
    webhook_delay_s: Annotated[float, Field(ge=0, le=3600)] = 0
    callback_url: Annotated[str | None, Field(pattern=r"^https?://[^\s<>\"']+$", max_length=500)] = None


def routes(account: RazorpayAccount, books: Books, events: RazorpayEvents) -> list[web.RouteDef]:
    """GET /checkout/{orderId}?callback_url=... is the page; POST /checkout/{orderId}/pay takes JSON or the page's form
    and answers `{razorpay_order_id, razorpay_payment_id, razorpay_signature}`, to a form as a page that posts them
    to callback_url.
    """

    async def get_page(request: web.Request) -> web.Response:
        order = books.orders.get(request.match_info["id"])
        if order is None:
            return _page("<h1>No such order</h1>", status=404)
        return _page(_pay_form(order, request.query.get("callback_url", "")))

    async def pay(request: web.Request) -> web.Response:
        is_json = request.content_type == "application/json"
        order = books.orders.get(request.match_info["id"])
        if order is None:
            return refusal("The id provided does not exist")
        try:
            payer = Payer.model_validate(await request.json() if is_json else dict(await request.post()))
            payment = books.pay(order, method=payer.method, status=payer.status, amount=payer.amount)
        except (ValueError, Refused) as error:
            return refusal(str(error).splitlines()[0])
        events.payment_changed(payment, order, delay_s=payer.webhook_delay_s)
        if payment.status == "failed":
            return refusal("The bank declined the payment.")
        if payer.callback == "lost":
            return _page("<h1>The page has died</h1>", status=504)
        callback = callback_fields(account, payment)
        if is_json or payer.callback_url is None:
            return web.json_response(callback)
        return _page(_callback_form(payer.callback_url, callback))

    return [web.get("/checkout/{id}", get_page), web.post("/checkout/{id}/pay", pay)]


def callback_fields(account: RazorpayAccount, payment: Payment) -> dict[str, str]:
    """What the browser carries back to the shop. The signature covers the two ids, neither amount nor status."""
    message = f"{payment.order_id}|{payment.id}".encode()
    return {
        "razorpay_order_id": payment.order_id,
        "razorpay_payment_id": payment.id,
        "razorpay_signature": sign(account.key_secret, message),
    }


def _page(content: str, *, status: int = 200) -> web.Response:
    return web.Response(text=_PAGE.format(content=content), content_type="text/html", status=status)


def _pay_form(order: Order, callback_url: str) -> str:
    amount = f"{order.amount // 100}.{order.amount % 100:02} {html.escape(order.currency)}"
    hidden = f'<input type="hidden" name="callback_url" value="{html.escape(callback_url)}">' if callback_url else ""
    return (
        f"<h1>Pay {amount}</h1><p>Order {order.id}. This is a sandbox: no money moves.</p>"
        f'<form method="post" action="/checkout/{order.id}/pay">{hidden}'
        '<button name="status" value="captured">Pay</button> '
        '<button name="status" value="failed">Let the bank decline</button></form>'
    )


def _callback_form(callback_url: str, fields: dict[str, str]) -> str:
    hidden = "".join(f'<input type="hidden" name="{name}" value="{value}">' for name, value in fields.items())
    return (
        f'<h1>Paid</h1><form method="post" action="{html.escape(callback_url)}">{hidden}'
        "<button>Back to the shop</button></form>"
    )
