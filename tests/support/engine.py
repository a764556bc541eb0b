"""A worker of the engine with a small handler, in the test's own process, and what Kafka and PostgreSQL say of it."""

import asyncio
import socket
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import aiohttp
import asyncpg
from prometheus_client.parser import text_string_to_metric_families

from services.common.codec import load_codec
from services.common.database import Transaction, open_database
from services.common.errors import DependencyError
from services.common.events import Event, PaymentSucceeded, PurchaseAdjusted, adjustment_event_id, purchase_id_of
from services.common.settings import Settings
from services.common.topics import Topics
from services.engine.outcomes import Batched, Done, Outcome, Shape
from services.engine.producer import open_producer
from services.engine.records import Header, OutgoingRecord, Record
from services.engine.worker import run_worker
from services.operations.topic_reader import read_lag, read_topics

WORKER = "purchase-worker"
ROLE = "coursepay_purchase_worker"
_TABLE = f"""
    CREATE TABLE handled (order_id text PRIMARY KEY, times integer NOT NULL DEFAULT 1);
    GRANT SELECT, INSERT, UPDATE ON handled TO {ROLE};
"""
_INSERT = """
    INSERT INTO handled (order_id) SELECT unnest($1::text[]) ORDER BY 1
    ON CONFLICT (order_id) DO UPDATE SET times = handled.times + 1
"""


@dataclass(kw_only=True)
class Notebook:
    """A batch handler that writes each order down, and fails as told: `failing` maps an order to what is raised while
    it is among the events, `failures` to how many tries of it alone that lasts (for ever when absent). `batches` are
    the order ids of each call.
    """

    failing: dict[str, Exception] = field(default_factory=dict)
    failures: dict[str, int] = field(default_factory=dict)
    outcomes: dict[str, Outcome] = field(default_factory=dict)
    slow_s: float = 0.0
    batches: list[list[str]] = field(default_factory=list)
    emits: bool = False

    @property
    def shape(self) -> Shape:
        return Batched({PaymentSucceeded: self.handle})

    async def handle(self, events: Sequence[PaymentSucceeded], transaction: Transaction) -> Sequence[Outcome]:
        orders = [event.order_id for event in events]
        self.batches.append(orders)
        await transaction.execute(_INSERT, orders)
        await asyncio.sleep(self.slow_s)
        for order_id in orders:
            if order_id in self.failing and self.failures.get(order_id, 1) > 0:
                if len(orders) == 1 and order_id in self.failures:
                    self.failures[order_id] -= 1
                raise self.failing[order_id]
        return [self.outcomes.get(event.order_id, self._done(event)) for event in events]

    def tries(self, order_id: str) -> int:
        return sum(order_id in batch for batch in self.batches)

    def _done(self, event: PaymentSucceeded) -> Done:
        return Done(emit=(adjusted(event),) if self.emits else (), since=event.confirmed_at)


def adjusted(event: PaymentSucceeded) -> PurchaseAdjusted:
    return PurchaseAdjusted(
        event_id=adjustment_event_id("PurchaseAdjusted", event.order_id, 1),
        purchase_id=purchase_id_of(event.order_id),
        order_id=event.order_id,
        student_id=event.student_id,
        course_id=event.course_id,
        status="active",
        sessions_total=10,
        sequence=1,
    )


async def execute(database_url: str, statements: str) -> None:
    connection = await asyncpg.connect(database_url)
    try:
        await connection.execute(statements)
    finally:
        await connection.close()


async def make_table(database_url: str) -> None:
    await execute(database_url, _TABLE)


async def handled(database_url: str) -> Mapping[str, int]:
    """Order -> how often its handling was committed."""
    connection = await asyncpg.connect(database_url)
    try:
        return dict(await connection.fetch("SELECT order_id, times FROM handled"))  # type: ignore[arg-type]
    finally:
        await connection.close()


@asynccontextmanager
async def running_worker(settings: Settings, shape: Shape) -> AsyncIterator["asyncio.Task[None]"]:
    """Stopped gracefully on exit; what killed it is raised then."""
    stop = asyncio.Event()
    async with open_database(settings, role=ROLE, application="test-worker") as database:
        task = asyncio.create_task(run_worker(settings, WORKER, shape, stop, database=database))
        try:
            yield task
        finally:
            stop.set()
            await task


def record_of(settings: Settings, event: Event, headers: tuple[Header, ...] = ()) -> OutgoingRecord:
    topic = Topics.of(settings).main(type(event))
    value = load_codec().encode_framed(event)
    return OutgoingRecord(topic=topic, key=event.order_id.encode(), value=value, headers=headers)


async def put(settings: Settings, *records: OutgoingRecord) -> None:
    async with open_producer(settings, "test") as producer:
        await producer.send_all(records)


async def on_tier(settings: Settings, tier: str) -> list[Record]:
    return await read_topics(settings, [Topics.of(settings).retry(WORKER, tier)])


async def dead_letters(settings: Settings) -> list[Record]:
    return await read_topics(settings, [Topics.of(settings).dead_letters(WORKER)])


async def is_idle(settings: Settings) -> bool:
    """Both groups have committed everything; false while a broker has only just come back."""
    topics = Topics.of(settings)
    try:
        main = await read_lag(settings, topics.group(WORKER), topics.sources(WORKER))
        return not main + await read_lag(settings, topics.retry_group(WORKER), topics.tiers(WORKER))
    except DependencyError:
        return False


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def health_of(settings: Settings, kind: str) -> int:
    url = f"http://{settings.gateway_host}:{settings.metrics_port}/health/{kind}"
    async with aiohttp.ClientSession() as http, http.get(url) as response:
        return response.status


async def sample_of(settings: Settings, name: str, **labels: str) -> float:
    """One figure from the worker's own /metrics. Raises AssertionError while it does not listen yet."""
    url = f"http://{settings.gateway_host}:{settings.metrics_port}/metrics"
    try:
        async with aiohttp.ClientSession() as http, http.get(url) as response:
            text = await response.text()
    except aiohttp.ClientConnectionError as error:
        raise AssertionError(str(error)) from error
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if sample.name == name and labels.items() <= sample.labels.items():
                return float(sample.value)
    raise AssertionError(f"no {name} with {labels}")
