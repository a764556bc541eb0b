"""One run: a database and topics of its own, preloaded events, one or more processes that drain them, and a check that
everything arrived exactly once. A run that fails the check raises.
"""

import asyncio
import json
import secrets
import signal
import sys
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

import asyncpg
from confluent_kafka import Producer

from bench.sampling import Samples, sampled
from services.common.codec import load_codec
from services.common.events import PurchaseCreated
from services.common.kafka_config import producer_config
from services.common.settings import Settings, child_environment
from services.common.topic_admin import apply_topics, delete_topics
from services.common.topics import Topics
from services.engine.records import OutgoingRecord
from services.operations.migrations import migrate
from services.operations.topic_reader import read_lag, read_topics
from services.sandbox.demo.database import own_database

WORKER = "purchase-worker"
MODULES = {"worker": "services.purchase_worker", "bare": "bench.bare_loop", "faststream": "bench.faststream_app"}
_DRAINED_S = 600.0
_LOOK_S = 0.5
_STOP_S = 30.0
Prepare = Callable[[Settings], Awaitable[None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """`rate`: records/s from the first event that came out to the last one, by their timestamps in Kafka.
    `cpu_ms_per_1000`: of all the run's processes within that time. `load`: of the machine, before and after.
    """

    what: str
    records: int
    partitions: int
    processes: int
    rate: float
    cpu_ms_per_1000: float
    peak_rss_mb: float
    retried: int = 0
    dead: int = 0
    load: tuple[float, float] = (0.0, 0.0)
    notes: dict[str, float] = field(default_factory=dict)

    def line(self) -> str:
        return json.dumps(asdict(self), sort_keys=True)


@asynccontextmanager
async def place_for_a_run(settings: Settings, *, partitions: int) -> AsyncIterator[Settings]:
    """A migrated database and topics that nobody else has; gone afterwards."""
    names = {"kafka_topic_prefix": f"bench-{secrets.token_hex(4)}-", "kafka_partitions": partitions}
    async with own_database(settings.model_copy(update=names)) as own:
        await migrate(own.required_database_url())
        await apply_topics(own)
        try:
            yield own
        finally:
            await delete_topics(own)


@asynccontextmanager
async def running(settings: Settings, module: str, log: Path, *, every_s: float = 0.05) -> AsyncIterator[Samples]:
    """A process of its own that drains, until the block ends; its CPU time and memory. Raises when it does not end
    well.
    """
    environment = child_environment(
        {
            "COURSEPAY_KAFKA_BOOTSTRAP_SERVERS": settings.required_bootstrap_servers(),
            "COURSEPAY_KAFKA_TOPIC_PREFIX": settings.kafka_topic_prefix,
            "COURSEPAY_KAFKA_PARTITIONS": str(settings.kafka_partitions),
            "COURSEPAY_DATABASE_URL": settings.required_database_url(),
            "COURSEPAY_METRICS_PORT": str(settings.metrics_port),
            "COURSEPAY_RETRY_DELAYS": settings.retry_delays,
        }
    )
    with log.open("ab") as output:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", module, env=environment, stdout=output, stderr=output
        )
    try:
        async with sampled(process.pid, every_s=every_s) as samples:
            yield samples
            process.send_signal(signal.SIGTERM)
            code = await asyncio.wait_for(process.wait(), _STOP_S)
            if code:
                raise RuntimeError(f"{module} ended with {code}; see {log}")
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def drain(
    settings: Settings,
    records: Sequence[OutgoingRecord],
    *,
    what: str,
    partitions: int,
    processes: int = 1,
    prepare: Prepare | None = None,
) -> Result:
    """`what`: one of MODULES. `records` are for topics without a prefix. Raises AssertionError when the books do not
    balance afterwards.
    """
    before = machine_load()
    async with place_for_a_run(settings, partitions=partitions) as own:
        if prepare is not None:
            await prepare(own)
        await preload(own, records)
        with tempfile.TemporaryDirectory() as directory:
            async with AsyncExitStack() as stack:
                all_samples = [
                    await stack.enter_async_context(running(own, MODULES[what], Path(directory) / f"{number}.log"))
                    for number in range(processes)
                ]
                await until_drained(own)
        begin, end = await checked(own, [record.key or b"" for record in records])
        topics = Topics.of(own)
        hops = await read_topics(own, topics.tiers(WORKER))
        dead = await read_topics(own, [topics.dead_letters(WORKER)])
    return Result(
        what=what,
        records=len(records),
        partitions=partitions,
        processes=processes,
        rate=round(len(records) / (end - begin), 1),
        cpu_ms_per_1000=round(sum(one.cpu_s(begin, end) for one in all_samples) / len(records) * 1e6, 2),
        peak_rss_mb=round(max(one.peak_rss_bytes for one in all_samples) / 2**20, 1),
        retried=len({(hop.header("origin-partition"), hop.header("origin-offset")) for hop in hops}),
        dead=len(dead),
        load=(before, machine_load()),
    )


async def preload(settings: Settings, records: Sequence[OutgoingRecord]) -> None:
    """With a producer of librdkafka's own: nothing has to be known of each record."""

    def produce() -> None:
        producer = Producer(producer_config(settings, "bench"))
        for number, record in enumerate(records):
            producer.produce(settings.kafka_topic_prefix + record.topic, record.value, record.key)
            if number % 1_000 == 0:
                producer.flush(30)
        if producer.flush(60):
            raise RuntimeError("Kafka did not take the preloaded records")

    await asyncio.to_thread(produce)


async def until_drained(settings: Settings) -> None:
    topics = Topics.of(settings)
    async with asyncio.timeout(_DRAINED_S):
        while await _lag(settings, topics):  # noqa: ASYNC110 - it is the cluster that knows
            await asyncio.sleep(_LOOK_S)


async def _lag(settings: Settings, topics: Topics) -> int:
    main = await read_lag(settings, topics.group(WORKER), topics.sources(WORKER))
    return main or await read_lag(settings, topics.retry_group(WORKER), topics.tiers(WORKER))


async def checked(settings: Settings, keys: Sequence[bytes]) -> tuple[float, float]:
    """When the first and the last event came out (Unix seconds). Each order is one purchase and at least one equal
    event, or a dead letter; nothing else is there.
    """
    topics, codec = Topics.of(settings), load_codec()
    connection = await asyncpg.connect(settings.required_database_url())
    try:
        rows = await connection.fetch("SELECT order_id FROM student_course_purchases")
    finally:
        await connection.close()
    bought = {row["order_id"].encode() for row in rows}
    dead = {record.key for record in await read_topics(settings, [topics.dead_letters(WORKER)])}
    told = await read_topics(settings, [topics.main(PurchaseCreated)])
    assert len(bought) == len(rows)
    assert not bought & dead
    assert bought | dead == set(keys), f"{len(bought)} purchases and {len(dead)} dead letters of {len(keys)}"
    assert {record.key for record in told} == bought
    values: dict[bytes | None, bytes | None] = {}
    for record in told:
        assert values.setdefault(record.key, record.value) == record.value
    assert all(codec.decode(record.value, record.key) for record in told[:1000])
    assert max(Counter(record.key for record in told).values()) == 1, "an event twice, although nobody crashed"
    times = [record.timestamp_ms / 1000 for record in told]
    return min(times), max(times)


def machine_load() -> float:
    return float(Path("/proc/loadavg").read_text().split()[0]) if Path("/proc/loadavg").exists() else 0.0
