"""Dead letters as the engine writes them, on a test's own topics; and `coursepay dlq` as a person runs it."""

import asyncio
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import asyncpg
import orjson

from services.commands.dlq.session import open_tools
from services.common.codec import load_codec
from services.common.events import PaymentSucceeded
from services.common.settings import PREFIX, Settings, child_environment
from services.common.topics import Topics
from services.engine.records import OutgoingRecord, Record
from services.operations.replay.choosing.filters import Filter
from services.operations.replay.choosing.planning import make_plan
from services.operations.replay.execution import Orders, Tools
from services.operations.replay.replaying import Report, Wish, replay_plan
from services.operations.replay.targets import FIRST_TIER, Target
from services.operations.topic_reader import read_topics
from tests.support.events import payment_succeeded
from tests.support.kafka import send, text_headers
from tests.support.processes import hear_signals
from tests.support.tidy import ROOT

WORKER = "purchase-worker"
TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
WISH = Wish(actor="ada", reason="the trigger is gone", target=FIRST_TIER, replays_max=3)
FAST = Orders(rate=5_000, watch_s=0)
_BUY = """
    INSERT INTO student_course_purchases
           (order_id, student_id, course_id, purchase_tier, sessions_total, purchase_date, expiry_date)
    SELECT unnest($1::text[]), 'student-1', 'course-0001', 10, 10, now(), now() + interval '180 days'
"""


def dead_letter(settings: Settings, number: int, **overrides: str | int) -> OutgoingRecord:
    """Of order `ord_NUMBER`, first read from offset NUMBER of payment.succeeded. `overrides`: headers, in snake case;
    `order_id` and `value` too.
    """
    topics = Topics.of(settings)
    order_id = str(overrides.pop("order_id", f"ord_{number}"))
    given = overrides.pop("value", None)
    value = load_codec().encode_framed(payment_succeeded(order_id)) if given is None else str(given).encode()
    headers: dict[str, str | int] = {
        "retry_attempt": 3,
        "origin_topic": topics.main(PaymentSucceeded),
        "origin_partition": 0,
        "origin_offset": number,
        "origin_timestamp_ms": 1_700_000_000_000,
        "first_failed_ms": 1_700_000_001_000,
        "last_failed_ms": 1_700_000_020_000,
        "error_class": "RaiseError",
        "error_message": "a trigger says no",
        "error_kind": "transient",
        "error_fingerprint": "f00d",
        "error_stack": "Traceback ...",
        "worker": WORKER,
        "traceparent": TRACEPARENT,
        "x_foreign": "kept",
    }
    return OutgoingRecord(
        topic=topics.dead_letters(WORKER),
        key=order_id.encode(),
        value=value,
        headers=text_headers(**{**headers, **overrides}),
    )


async def bury(settings: Settings, count: int, **overrides: str | int) -> None:
    """Dead letters of the orders ord_0 to ord_COUNT-1."""
    await send(settings, [dead_letter(settings, number, **overrides) for number in range(count)])


async def buy(settings: Settings, order_ids: Sequence[str]) -> None:
    """As if the purchase worker had handled these orders."""
    connection = await asyncpg.connect(settings.required_database_url())
    try:
        await connection.execute(_BUY, order_ids)
    finally:
        await connection.close()


async def fetch(settings: Settings, query: str, *arguments: object) -> list[Mapping[str, Any]]:
    connection = await asyncpg.connect(settings.required_database_url())
    try:
        return [dict(row) for row in await connection.fetch(query, *arguments)]
    finally:
        await connection.close()


async def execute_sql(settings: Settings, statement: str) -> None:
    connection = await asyncpg.connect(settings.required_database_url())
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


def rows_put_aside(topic: str) -> str:
    """The runbook's statements for a dead-letter topic that was made anew."""
    block = (ROOT / "docs" / "runbook.md").read_text().split("```sql\n")[1].split("```")[0]
    return block.replace(f"'{WORKER}.dlq'", f"'{topic}'")


async def on_first_tier(settings: Settings) -> list[Record]:
    topics = Topics.of(settings)
    return await read_topics(settings, [topics.tiers(WORKER)[0]])


async def on_parked(settings: Settings) -> list[Record]:
    return await read_topics(settings, [Topics.of(settings).parked(WORKER)])


def headers_of(record: Record) -> dict[str, bytes | None]:
    """Fails when a name is there twice."""
    assert len(dict(record.headers)) == len(record.headers), record.headers
    return dict(record.headers)


def orders_of(records: Sequence[Record]) -> list[str]:
    return sorted((record.key or b"").decode() for record in records)


@asynccontextmanager
async def opened(settings: Settings) -> AsyncIterator[Tools]:
    async with open_tools(settings) as tools:
        yield tools


async def replay(
    tools: Tools,
    *,
    chosen: Filter | None = None,
    wish: Wish = WISH,
    orders: Orders = FAST,
    stop: asyncio.Event | None = None,
) -> Report:
    plan = await make_plan(tools.settings, tools.database, tools.codec, WORKER, chosen or Filter())
    return await replay_plan(tools, plan, wish, orders, stop=stop or asyncio.Event(), observe=lambda _records: None)


def wish(target: Target, *, replays_max: int = 3) -> Wish:
    return Wish(actor="ada", reason="a test", target=target, replays_max=replays_max)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    """What a command came to."""

    code: int
    out: bytes
    errors: str

    @property
    def json(self) -> Any:  # noqa: ANN401 - JSON
        return orjson.loads(self.out.splitlines()[-1])


def environment_of(settings: Settings) -> dict[str, str]:
    """For a child that shall use the same servers, topics and tables."""
    values = {
        "KAFKA_BOOTSTRAP_SERVERS": settings.required_bootstrap_servers(),
        "KAFKA_TOPIC_PREFIX": settings.kafka_topic_prefix,
        "KAFKA_PARTITIONS": str(settings.kafka_partitions),
        "DATABASE_URL": settings.required_database_url(),
        "RETRY_DELAYS": settings.retry_delays,
        "STATE_DIRECTORY": str(settings.state_directory),
    }
    return child_environment({PREFIX + name: value for name, value in values.items()})


async def start_dlq(settings: Settings, *arguments: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "services.cli",
        "dlq",
        *arguments,
        env=environment_of(settings),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        preexec_fn=hear_signals,
    )


async def run_dlq(settings: Settings, *arguments: str) -> Ran:
    process = await start_dlq(settings, *arguments)
    out, errors = await process.communicate()
    assert process.returncode is not None
    return Ran(code=process.returncode, out=out, errors=errors.decode())
