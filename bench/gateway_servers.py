"""The three servers that are compared, each a process of its own: `python -m bench.gateway_servers KIND PORT`.

hello     aiohttp on uvloop answering the same POST with two words, without reading it: what the HTTP library costs
naive     the confirm route as one would write it first: signature, then a transaction with two statements per request
gateway   the gateway's own application, with every check, its log and its metrics; no relay and no tasks beside it
"""

import asyncio
import hmac
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import uuid4

import aiohttp
import asyncpg
import orjson
from aiohttp import web

from services.common.codec import load_codec
from services.common.database import open_database
from services.common.metrics import Metrics
from services.common.runtime import run_service
from services.common.settings import Settings, split_secrets
from services.common.topics import Topics
from services.gateway_api.app import create_app
from services.gateway_api.dependencies import Dependencies
from services.gateway_api.limits import DATABASE_DEADLINE
from services.gateway_api.providers import load_providers
from services.gateway_api.web.listener import listen

_CONFIRM = "/api/v1/payments/confirm"
_PAY = """
UPDATE payments SET status = 'succeeded', payment_id = $2, confirmed_at = now()
  FROM orders
 WHERE orders.order_id = payments.order_id AND orders.provider_order_id = $1 AND payments.status = 'created'
RETURNING payments.order_id, payments.confirmed_at
"""
_TELL = """
INSERT INTO outbox (order_id, order_seq, event_id, type, version, payload) VALUES ($1, 1, $2, 'PaymentSucceeded', 1, $3)
"""


@asynccontextmanager
async def hello(_settings: Settings) -> AsyncIterator[web.Application]:
    async def greet(_request: web.Request) -> web.Response:
        return web.Response(text="hello world")

    app = web.Application()
    app.router.add_post(_CONFIRM, greet)
    yield app


@asynccontextmanager
async def naive(settings: Settings) -> AsyncIterator[web.Application]:
    secret = split_secrets(settings.razorpay_key_secrets)[0]
    async with asyncpg.create_pool(
        settings.required_database_url(), min_size=settings.database_pool_max, max_size=settings.database_pool_max
    ) as pool:

        async def confirm(request: web.Request) -> web.Response:
            body = orjson.loads(await request.read())
            order_id, payment_id = body["razorpay_order_id"], body["razorpay_payment_id"]
            signature = hmac.digest(secret, f"{order_id}|{payment_id}".encode(), "sha256").hex()
            if not hmac.compare_digest(signature, body["razorpay_signature"]):
                return web.Response(status=401)
            async with pool.acquire() as connection, connection.transaction():
                row = await connection.fetchrow(_PAY, order_id, payment_id)
                if row is None:
                    return web.Response(status=409)
                await connection.execute(_TELL, row["order_id"], uuid4(), orjson.dumps(body))
            told = {"orderId": row["order_id"], "paymentId": payment_id, "status": "succeeded"}
            return web.json_response(told | {"confirmedAt": row["confirmed_at"].isoformat(), "replayed": False})

        app = web.Application()
        app.router.add_post(_CONFIRM, confirm)
        yield app


@asynccontextmanager
async def gateway(settings: Settings) -> AsyncIterator[web.Application]:
    quick = settings.model_copy(update={"database_deadline": DATABASE_DEADLINE})
    topics = Topics.of(quick)
    async with (
        open_database(quick, role="coursepay_gateway", application="bench-gateway") as database,
        aiohttp.ClientSession() as http,
    ):
        yield create_app(
            Dependencies(
                settings=quick,
                database=database,
                codec=load_codec(),
                topics=topics,
                metrics=Metrics("gateway", topics),
                http=http,
                providers=load_providers(quick, http),
            )
        )


KINDS = {"hello": hello, "naive": naive, "gateway": gateway}


async def _serve(settings: Settings, stop: asyncio.Event) -> None:
    async with (
        KINDS[sys.argv[1]](settings) as app,
        listen(app, host="127.0.0.1", port=int(sys.argv[2]), connections_max=1000),
    ):
        await stop.wait()


if __name__ == "__main__":
    sys.exit(run_service("gateway", _serve))
