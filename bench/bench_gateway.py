"""How many first confirmations a gateway commits in a second, beside an aiohttp hello-world and a naive build.

`make bench-gateway`, or `python -m bench.bench_gateway --rounds 1 --seconds 2`. PostgreSQL and the load generator are
on the same machine; 64 connections. Beside one gateway and one naive build two of each are run, which share the
connections as replicas do, and the barest route that shares commits: what aiohttp, a signature and a commit cost
without anything else. All alternate (ABBA), so that whatever else the machine does meets all. Every confirmation is of
an order of its own; afterwards the books must hold exactly one succeeded payment and one event for each 200. Then an
open loop at 40 % of one gateway's own peak. Raw lines go to bench/results/gateway.jsonl.
"""

import argparse
import asyncio
import hashlib
import hmac
import os
import secrets
import statistics
import sys
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from itertools import cycle
from pathlib import Path

import asyncpg
import orjson
import uvloop
from pydantic import SecretStr

from bench.http_load import Load, closed_loop, open_loop, post
from services.common.settings import PREFIX, Settings, child_environment
from services.operations.migrations import migrate
from services.sandbox.accounts import sandbox_accounts, sandbox_environment
from services.sandbox.ports import free_ports
from services.sandbox.stack import temporary_stack

RESULTS = Path(__file__).parent / "results" / "gateway.jsonl"
PATH = "/api/v1/payments/confirm"
CONNECTIONS = 64
# What is run -> the server's kind, its processes, and the most orders that it may use up in a second.
_RUNS = {
    "hello": ("hello", 1, 0),
    "batched": ("batched", 1, 16_000),
    "gateway": ("gateway", 1, 5_000),
    "two gateways": ("gateway", 2, 7_000),
    "naive": ("naive", 1, 5_000),
    "two naive": ("naive", 2, 5_000),
}
_RATIOS = (
    ("batched", "hello"),
    ("gateway", "hello"),
    ("two gateways", "hello"),
    ("gateway", "naive"),
    ("two gateways", "naive"),
    ("two gateways", "two naive"),
)
_SCHEDULE = {
    "startDate": "2030-01-07",
    "timeSlot": "18:00",
    "weekdays": [1, 3],
    "timeZone": "Asia/Kolkata",
    "durationMinutes": 60,
    "mode": "online",
    "preferredGender": None,
    "location": None,
}
_ORDERS = """
INSERT INTO orders (order_id, provider, provider_order_id, student_id, course_id, purchase_tier, amount_minor, currency,
                    schedule, metadata)
SELECT 'ord_' || n, 'razorpay', 'order_' || n, 'student-' || n % 5000, 'course-0001', 10, 500000, 'INR', $1::jsonb, '{}'
  FROM generate_series($2::int, $3::int) AS n
"""
_PAYMENTS = """
INSERT INTO payments (order_id, provider, amount_minor, currency)
SELECT 'ord_' || n, 'razorpay', 500000, 'INR' FROM generate_series($1::int, $2::int) AS n
"""
_BOOKS = """
SELECT (SELECT count(*) FROM payments WHERE status = 'succeeded' AND confirmed_at IS NOT NULL) AS payments,
       (SELECT count(*) FROM outbox) AS events
"""


class Bench:
    """Orders are made ahead of each run, and none is confirmed twice."""

    def __init__(self, settings: Settings, environment: dict[str, str], key_secret: bytes) -> None:
        self._settings = settings
        self._environment = environment
        self._key_secret = key_secret
        self._next = 1
        self._confirmed = 0

    async def run(self, what: str, *, seconds: float, rate: float = 0.0) -> Load:
        kind, processes, orders_a_second = _RUNS[what]
        # The first server looks at none of them; the others get each once.
        is_hello = kind == "hello"
        numbers = range(1, 5_000) if is_hello else await self._orders(int(seconds * (rate or orders_a_second)) + 3_000)
        made = list(self._requests(numbers))
        requests = cycle(made) if is_hello else iter(made)
        async with self._servers(kind, processes) as ports:
            warming = await closed_loop(ports, requests, connections=8, seconds=0.5)
            load = (
                await open_loop(ports, requests, rate=rate, connections=CONNECTIONS, seconds=seconds)
                if rate
                else await closed_loop(ports, requests, connections=CONNECTIONS, seconds=seconds)
            )
        if not is_hello:
            self._confirmed += warming.good + load.good
        line = {
            "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "what": what,
            "loop": "open" if rate else "closed",
            "offered": round(rate),
            "rate": round(load.rate),
            "good": load.good,
            "other": load.other,
            "p50_ms": round(load.quantile_ms(0.5), 2),
            "p99_ms": round(load.quantile_ms(0.99), 2),
            "machine_load": round(os.getloadavg()[0], 1),
        }
        RESULTS.parent.mkdir(exist_ok=True)
        with RESULTS.open("ab") as lines:
            lines.write(orjson.dumps(line) + b"\n")
        sys.stdout.write(f"{orjson.dumps(line).decode()}\n")
        sys.stdout.flush()
        if load.other:
            raise SystemExit(f"{what} answered {load.other} requests with something else than 200: no figure")
        return load

    async def require_balanced_books(self) -> None:
        async with self._connected() as connection:
            row = await connection.fetchrow(_BOOKS)
        if row is None or not row["payments"] == row["events"] == self._confirmed:
            raise SystemExit(f"the books do not balance: {row}, {self._confirmed} answers with 200")
        sys.stdout.write(f"{row['payments']} succeeded payments, {row['events']} events\n")

    async def _orders(self, count: int) -> range:
        numbers = range(self._next, self._next + count)
        self._next += count
        async with self._connected() as connection:
            await connection.execute(_ORDERS, orjson.dumps(_SCHEDULE).decode(), numbers[0], numbers[-1])
            await connection.execute(_PAYMENTS, numbers[0], numbers[-1])
            await connection.execute("VACUUM ANALYZE orders, payments")
            await connection.execute("CHECKPOINT")
        return numbers

    def _requests(self, numbers: range) -> Iterator[bytes]:
        for number in numbers:
            order_id, payment_id = f"order_{number}", f"pay_{number}"
            signature = hmac.digest(self._key_secret, f"{order_id}|{payment_id}".encode(), hashlib.sha256).hex()
            body = {
                "razorpay_order_id": order_id,
                "razorpay_payment_id": payment_id,
                "razorpay_signature": signature,
            }
            yield post(PATH, orjson.dumps(body))

    @asynccontextmanager
    async def _connected(self) -> "AsyncIterator[asyncpg.Connection[asyncpg.Record]]":
        connection = await asyncpg.connect(self._settings.required_database_url())
        try:
            yield connection
        finally:
            await connection.close()

    @asynccontextmanager
    async def _servers(self, kind: str, processes: int) -> AsyncIterator[list[int]]:
        async with AsyncExitStack() as stack:
            yield [await stack.enter_async_context(self._server(kind)) for _ in range(processes)]

    @asynccontextmanager
    async def _server(self, kind: str) -> AsyncIterator[int]:
        [port] = free_ports(1)
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "bench.gateway_servers", kind, str(port),
            env=self._environment, stdout=asyncio.subprocess.DEVNULL,
        )  # fmt: skip
        try:
            async with asyncio.timeout(30):
                while True:
                    try:
                        _, writer = await asyncio.open_connection("127.0.0.1", port)
                    except OSError:
                        await asyncio.sleep(0.05)
                    else:
                        writer.close()
                        break
            yield port
        finally:
            process.terminate()
            await process.wait()


async def compare(bench: Bench, *, rounds: int, seconds: float) -> None:
    found = defaultdict[str, list[float]](list)
    order = tuple(_RUNS)
    for number in range(rounds):
        rates = defaultdict[str, list[float]](list)
        for what in (*order, *order[::-1]) if number % 2 == 0 else (*order[::-1], *order):
            rates[what].append((await bench.run(what, seconds=seconds)).rate)
        for what, two in rates.items():
            found[what].append(statistics.mean(two))
    for what, each in found.items():
        sys.stdout.write(f"{what}: median {statistics.median(each):,.0f}/s ({min(each):,.0f} to {max(each):,.0f})\n")
    for one, other in _RATIOS:
        ratios = [ours / theirs for ours, theirs in zip(found[one], found[other], strict=True)]
        middle = statistics.median(ratios)
        sys.stdout.write(f"{one} / {other}: median {middle:.2f} ({min(ratios):.2f} to {max(ratios):.2f})\n")
    rate = 0.4 * statistics.median(found["gateway"])
    for _ in range(min(rounds, 3)):
        await bench.run("gateway", seconds=2 * seconds, rate=rate)


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5, help="each with two runs of all")
    parser.add_argument("--seconds", type=float, default=5.0, help="of each run")
    options = parser.parse_args()
    given = Settings.from_environment()
    accounts = sandbox_accounts(Settings(), "")
    with temporary_stack(given, given.state_directory / "bench-gateway") as stack:
        name = f"bench_{secrets.token_hex(4)}"
        owner = await asyncpg.connect(stack.database_url)
        await owner.execute(f"CREATE DATABASE {name}")
        url = f"{stack.database_url.rsplit('/', 1)[0]}/{name}"
        try:
            await migrate(url)
            values = sandbox_environment(accounts, "http://127.0.0.1:9") | {f"{PREFIX}DATABASE_URL": url}
            bench = Bench(given.model_copy(update={"database_url": SecretStr(url)}), child_environment(values),
                          accounts.razorpay.key_secret)  # fmt: skip
            await compare(bench, rounds=options.rounds, seconds=options.seconds)
            await bench.require_balanced_books()
        finally:
            await owner.execute(f"DROP DATABASE {name} WITH (FORCE)")
            await owner.close()


if __name__ == "__main__":
    uvloop.run(main())
