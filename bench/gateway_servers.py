"""The servers that are compared, each a process of its own: `python -m bench.gateway_servers KIND PORT`.

hello     aiohttp on uvloop answering the same POST with two words, without reading it: what the HTTP library costs
batched   signature, then one statement for all that wait: what a shared commit costs, without anything else that a
          gateway needs. No fact, no state, no Avro, no trace, no log, no metric, no limit
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
from services.gateway_api.limits import DATABASE_DEADLINE, RECORDING_FACTS_MAX
from services.gateway_api.providers import load_providers
from services.gateway_api.web.listener import listen

_CONFIRM = "/api/v1/payments/confirm"
_PAY = """
UPDATE payments SET status = 'succeeded', payment_id = $2, confirmed_at = now()
  FROM orders
 WHERE orders.order_id = payments.order_id AND orders.provider = 'razorpay' AND orders.provider_order_id = $1
   AND payments.status = 'created'
RETURNING payments.order_id, payments.confirmed_at
"""
_PAY_TOGETHER = """
WITH paid AS (
    UPDATE payments SET status = 'succeeded', payment_id = told.payment_id, confirmed_at = now()
      FROM unnest($1::text[], $2::text[], $3::uuid[], $4::bytea[])
           AS told (provider_order_id, payment_id, event_id, payload)
      JOIN orders ON orders.provider = 'razorpay' AND orders.provider_order_id = told.provider_order_id
     WHERE orders.order_id = payments.order_id AND payments.status = 'created'
    RETURNING payments.order_id, payments.confirmed_at, orders.provider_order_id, told.event_id, told.payload
), told AS (
    INSERT INTO outbox (order_id, order_seq, event_id, type, version, payload)
    SELECT order_id, 1, event_id, 'PaymentSucceeded', 1, payload FROM paid
)
SELECT provider_order_id, order_id, confirmed_at FROM paid
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
async def batched(settings: Settings) -> AsyncIterator[web.Application]:
    secret = split_secrets(settings.razorpay_key_secrets)[0]
    queue: list[tuple[str, str, bytes, asyncio.Future[asyncpg.Record | None]]] = []
    writers: set[asyncio.Task[None]] = set()
    async with asyncpg.create_pool(settings.required_database_url(), min_size=1, max_size=1, reset=_no_reset) as pool:

        async def write() -> None:
            try:
                while queue:
                    batch = queue[:RECORDING_FACTS_MAX]
                    del queue[:RECORDING_FACTS_MAX]
                    order_ids, payment_ids, bodies, _ = zip(*batch, strict=True)
                    rows = await pool.fetch(_PAY_TOGETHER, order_ids, payment_ids, [uuid4() for _ in batch], bodies)
                    paid = {row["provider_order_id"]: row for row in rows}
                    for order_id, _, _, answered in batch:
                        answered.set_result(paid.get(order_id))
            finally:
                writers.clear()

        async def confirm(request: web.Request) -> web.Response:
            content = await request.read()
            body = orjson.loads(content)
            order_id, payment_id = body["razorpay_order_id"], body["razorpay_payment_id"]
            signature = hmac.digest(secret, f"{order_id}|{payment_id}".encode(), "sha256").hex()
            if not hmac.compare_digest(signature, body["razorpay_signature"]):
                return web.Response(status=401)
            answered: asyncio.Future[asyncpg.Record | None] = asyncio.get_running_loop().create_future()
            queue.append((order_id, payment_id, content, answered))
            if not writers:
                writers.add(asyncio.create_task(write()))
            row = await answered
            if row is None:
                return web.Response(status=409)
            told = {"orderId": row["order_id"], "paymentId": payment_id, "status": "succeeded"}
            told |= {"confirmedAt": row["confirmed_at"], "replayed": False}
            return web.Response(body=orjson.dumps(told), content_type="application/json")

        app = web.Application()
        app.router.add_post(_CONFIRM, confirm)
        yield app


async def _no_reset(_connection: object) -> None:
    return None


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


KINDS = {"hello": hello, "batched": batched, "naive": naive, "gateway": gateway}


async def _serve(settings: Settings, stop: asyncio.Event) -> None:
    async with (
        KINDS[sys.argv[1]](settings) as app,
        listen(app, host="127.0.0.1", port=int(sys.argv[2]), connections_max=1000),
    ):
        await stop.wait()


if __name__ == "__main__":
    sys.exit(run_service("gateway", _serve))
