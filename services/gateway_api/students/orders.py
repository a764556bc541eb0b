"""POST /api/v1/orders. The price comes from course_prices, never from the caller; the provider is asked outside any
transaction, and everything that we keep is one commit.

Tables: orders, payments (created here), course_prices (read), payment_tasks through payments/task_queue.py.
"""

import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import orjson
from aiohttp import web

from services.common.database import Database, Row, Transaction
from services.gateway_api.bodies.answers import OrderAnswer
from services.gateway_api.bodies.order import OrderBody, require_start_in_reach
from services.gateway_api.callers.auth import caller_of
from services.gateway_api.callers.idempotency import Once, once
from services.gateway_api.dependencies import Dependencies
from services.gateway_api.payments.task_queue import open_reconcile_task
from services.gateway_api.providers import ProviderOrder
from services.gateway_api.web.problems import Problem
from services.gateway_api.web.reading import parse, read_json
from services.gateway_api.web.request_log import note

# With the prefix below Razorpay's 40 characters for a receipt, and 144 random bits.
_RANDOM_BYTES = 18
_PRICE = "SELECT amount_minor, currency FROM course_prices WHERE course_id = $1 AND purchase_tier = $2"
_ORDER = """
INSERT INTO orders (order_id, provider, provider_order_id, student_id, course_id, purchase_tier, amount_minor,
                    currency, schedule, metadata)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9::jsonb, $10::jsonb)
RETURNING created_at
"""
_PAYMENT = """
INSERT INTO payments (order_id, provider, status, amount_minor, currency) VALUES ($1, $2, 'created', $3, $4)
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class _NewOrder:
    order_id: str
    student_id: str
    provider: str
    body: OrderBody
    price: Row
    opened: ProviderOrder


def routes(dependencies: Dependencies) -> list[web.RouteDef]:
    database = dependencies.database

    async def post_order(request: web.Request) -> web.Response:
        payload = await read_json(request)
        body = parse(OrderBody, payload)
        require_start_in_reach(body.schedule, datetime.now(UTC))
        async with once(database, request, payload, required=True) as claim:
            if claim.stored is not None:
                return claim.stored
            return await _open_order(dependencies, request, body, claim)

    return [web.post("/api/v1/orders", post_order)]


async def _open_order(dependencies: Dependencies, request: web.Request, body: OrderBody, claim: Once) -> web.Response:
    provider = dependencies.providers.get(body.provider)
    if provider is None:
        raise Problem("unknown-provider", 404, "No such payment provider is switched on")
    price = await _price(dependencies.database, body)
    order_id = "ord_" + secrets.token_urlsafe(_RANDOM_BYTES)
    student_id = caller_of(request).subject
    note(request, orderId=order_id, studentId=student_id, courseId=body.course_id, provider=provider.name)
    opened = await provider.create_order(
        amount_minor=price["amount_minor"],
        currency=price["currency"],
        receipt=order_id,
        notes={"orderId": order_id, "courseId": body.course_id},
    )
    new = _NewOrder(
        order_id=order_id, student_id=student_id, provider=provider.name, body=body, price=price, opened=opened
    )
    async with dependencies.database.transaction() as transaction:
        created_at = await _insert(transaction, new, reconcile_in=_reconcile_in(dependencies))
        return await claim.finish(
            transaction, _told(new, created_at), status=201, location=f"/api/v1/payments/{order_id}"
        )


async def _price(database: Database, body: OrderBody) -> Row:
    async with database.connection() as connection:
        price = await connection.fetchrow(_PRICE, body.course_id, body.purchase_tier)
    if price is None:
        raise Problem("unknown-course", 404, "No such course, or no price for this tier of it")
    return price


def _reconcile_in(dependencies: Dependencies) -> timedelta | None:
    delays_s = dependencies.settings.reconcile_delays_s
    return timedelta(seconds=delays_s[0]) if delays_s else None


async def _insert(transaction: Transaction, new: _NewOrder, *, reconcile_in: timedelta | None) -> datetime:
    created_at: datetime = await transaction.fetchval(
        _ORDER,
        new.order_id,
        new.provider,
        new.opened.provider_order_id,
        new.student_id,
        new.body.course_id,
        new.body.purchase_tier,
        new.price["amount_minor"],
        new.price["currency"],
        new.body.schedule.model_dump_json(by_alias=True),
        orjson.dumps(new.body.metadata).decode(),
    )
    await transaction.execute(_PAYMENT, new.order_id, new.provider, new.price["amount_minor"], new.price["currency"])
    if reconcile_in is not None:
        await open_reconcile_task(transaction, new.order_id, due_in=reconcile_in)
    return created_at


def _told(new: _NewOrder, created_at: datetime) -> OrderAnswer:
    return OrderAnswer(
        order_id=new.order_id,
        provider=new.provider,
        provider_order_id=new.opened.provider_order_id,
        amount_minor=new.price["amount_minor"],
        currency=new.price["currency"],
        public_key=new.opened.public_key,
        status="created",
        created_at=created_at,
        client_secret=new.opened.client_secret,
    )
