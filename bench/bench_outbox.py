"""How long an event waits between its commit and Kafka's acknowledgement, at a steady rate of first confirmations.

`make bench-outbox`, or `python -m bench.bench_outbox --rate 500 --seconds 20`. The real gateway process with its relay,
against a real Kafka (acks from all in-sync replicas) and a real PostgreSQL on the same machine, which the load
generator shares. Twice: alone, and beside a foreign transaction that writes and stays open for 300 ms, again and again,
which would hold up every design that waits for older transactions. What is measured is `published_at - created_at` of
each outbox row, from the event's insert to the mark of its acknowledgement: the commit before and the marking after it
included, so that the figure is an upper bound. Raw lines go to bench/results/outbox.jsonl.
"""

import argparse
import asyncio
import hashlib
import hmac
import os
import secrets
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
import orjson
import uvloop

from bench.http_load import open_loop, post
from services.common.settings import PREFIX, Settings
from services.common.topic_admin import apply_topics, delete_topics
from services.operations.migrations import migrate
from services.sandbox.accounts import sandbox_accounts, sandbox_environment
from services.sandbox.demo.children import Child
from services.sandbox.ports import free_ports
from services.sandbox.stack import temporary_stack

RESULTS = Path(__file__).parent / "results" / "outbox.jsonl"
PATH = "/api/v1/payments/confirm"
CONNECTIONS = 32
FOREIGN_S = 0.3
_DRAINED_S = 60.0
_WARM_S = 2.0
_SCHEDULE = {
    "startDate": "2030-01-07",
    "timeSlot": "18:00",
    "weekdays": [1, 3],
    "timeZone": "Asia/Kolkata",
    "durationMinutes": 60,
    "mode": "online",
}
_ORDERS = """
WITH made AS (
    INSERT INTO orders (order_id, provider, provider_order_id, student_id, course_id, purchase_tier, amount_minor,
                        currency, schedule)
    SELECT 'ord_' || n, 'razorpay', 'order_' || n, 'student-' || n % 5000, 'course-0001', 10, 500000, 'INR', $1::jsonb
      FROM generate_series($2::int, $3::int) AS n
    RETURNING order_id)
INSERT INTO payments (order_id, provider, amount_minor, currency) SELECT order_id, 'razorpay', 500000, 'INR' FROM made
"""
_WAITS = """
SELECT count(*) AS events, count(*) FILTER (WHERE published_at IS NULL) AS unpublished,
       percentile_cont(ARRAY[0.5, 0.9, 0.99, 1.0]) WITHIN GROUP (
           ORDER BY extract(epoch FROM published_at - created_at) * 1000) AS waits_ms
  FROM outbox WHERE created_at >= $1
"""


async def measure(database_url: str, port: int, numbers: range, *, rate: float, seconds: float, foreign: bool) -> None:
    requests = _requests(numbers)
    async with _connected(database_url) as connection, _foreign_transactions(database_url, wanted=foreign):
        await open_loop([port], requests, rate=rate, connections=CONNECTIONS, seconds=_WARM_S)
        since = await connection.fetchval("SELECT clock_timestamp()")
        load = await open_loop([port], requests, rate=rate, connections=CONNECTIONS, seconds=seconds)
        async with asyncio.timeout(_DRAINED_S):
            while True:
                row = await connection.fetchrow(_WAITS, since)
                if row is not None and row["unpublished"] == 0:
                    break
                await asyncio.sleep(0.2)
    p50, p90, p99, longest = row["waits_ms"]
    line = {
        "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "what": "commit to acknowledgement",
        "foreign_transaction_s": FOREIGN_S if foreign else 0,
        "offered": round(rate),
        "rate": round(load.rate),
        "events": row["events"],
        "p50_ms": round(p50, 1),
        "p90_ms": round(p90, 1),
        "p99_ms": round(p99, 1),
        "max_ms": round(longest, 1),
        "confirm_p99_ms": round(load.quantile_ms(0.99), 1),
        "machine_load": round(os.getloadavg()[0], 1),
    }
    RESULTS.parent.mkdir(exist_ok=True)
    with RESULTS.open("ab") as lines:
        lines.write(orjson.dumps(line) + b"\n")
    sys.stdout.write(f"{orjson.dumps(line).decode()}\n")
    sys.stdout.flush()
    if load.other or row["events"] != load.good:
        raise SystemExit(f"{load.other} answers were no 200, {row['events']} events of {load.good} payments: no figure")


@asynccontextmanager
async def _foreign_transactions(database_url: str, *, wanted: bool) -> AsyncIterator[None]:
    """One after another, each with a transaction id of its own and a row that it has written."""

    async def keep_one_open() -> None:
        async with _connected(database_url) as connection:
            await connection.execute("CREATE TABLE IF NOT EXISTS foreign_work (at timestamptz)")
            while True:
                async with connection.transaction():
                    await connection.execute("INSERT INTO foreign_work VALUES (now())")
                    await asyncio.sleep(FOREIGN_S)

    task = asyncio.create_task(keep_one_open()) if wanted else None
    try:
        yield
    finally:
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


def _requests(numbers: range) -> Iterator[bytes]:
    secret = sandbox_accounts(Settings(), "").razorpay.key_secret
    for number in numbers:
        ids = f"order_{number}", f"pay_{number}"
        signature = hmac.digest(secret, "|".join(ids).encode(), hashlib.sha256).hex()
        names = ("razorpay_order_id", "razorpay_payment_id", "razorpay_signature")
        yield post(PATH, orjson.dumps(dict(zip(names, (*ids, signature), strict=True))))


@asynccontextmanager
async def _connected(database_url: str) -> "AsyncIterator[asyncpg.Connection[asyncpg.Record]]":
    connection = await asyncpg.connect(database_url)
    try:
        yield connection
    finally:
        await connection.close()


@asynccontextmanager
async def _gateway(settings: Settings, directory: Path) -> AsyncIterator[int]:
    [port] = free_ports(1)
    own = {
        "KAFKA_BOOTSTRAP_SERVERS": settings.required_bootstrap_servers(),
        "KAFKA_TOPIC_PREFIX": settings.kafka_topic_prefix,
        "DATABASE_URL": settings.required_database_url(),
        "STATE_DIRECTORY": str(directory),
        "GATEWAY_PORT": str(port),
    }
    child = Child(
        "gateway",
        arguments=["services.gateway_api"],
        environment={
            **sandbox_environment(sandbox_accounts(Settings(), ""), "http://127.0.0.1:9"),
            **{PREFIX + name: value for name, value in own.items()},
        },
        ready_url=f"http://127.0.0.1:{port}/health/ready",
        log=directory / "gateway.log",
    )
    try:
        await child.start()
        await child.wait_until_ready()
        yield port
    finally:
        await child.stop()


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rate", type=float, default=500.0, help="first confirmations in a second")
    parser.add_argument("--seconds", type=float, default=20.0, help="of each run")
    parser.add_argument("--rounds", type=int, default=3, help="each alone and beside a foreign transaction")
    options = parser.parse_args()
    given = Settings.from_environment()
    directory = given.state_directory / "bench-outbox"
    with temporary_stack(given, directory) as stack:
        name, server = f"bench_{secrets.token_hex(4)}", stack.database_url.rsplit("/", 1)[0]
        async with _connected(stack.database_url) as owner:
            await owner.execute(f"CREATE DATABASE {name}")
        own = Settings.from_environment(
            kafka_bootstrap_servers=stack.kafka_bootstrap_servers,
            kafka_topic_prefix=f"{name}-",
            database_url=f"{server}/{name}",
        )
        try:
            await migrate(own.required_database_url())
            await apply_topics(own)
            async with _gateway(own, directory) as port:
                await _run_all(own.required_database_url(), port, options)
        finally:
            await delete_topics(own)
            async with _connected(stack.database_url) as owner:
                await owner.execute(f"DROP DATABASE {name} WITH (FORCE)")


async def _run_all(database_url: str, port: int, options: argparse.Namespace) -> None:
    each = int(options.rate * (options.seconds + _WARM_S)) + 1
    first = 1
    for _ in range(options.rounds):
        for foreign in (False, True):
            numbers = range(first, first + each)
            first += each
            async with _connected(database_url) as connection:
                await connection.execute(_ORDERS, orjson.dumps(_SCHEDULE).decode(), numbers[0], numbers[-1])
                await connection.execute("VACUUM ANALYZE orders, payments")
            await measure(database_url, port, numbers, rate=options.rate, seconds=options.seconds, foreign=foreign)


if __name__ == "__main__":
    uvloop.run(main())
