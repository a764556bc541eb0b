"""Whether memory stays flat at load: of the purchase worker alone, and of every service of the whole system.

`make bench-memory` (MINUTES=60). The worker drains a steady stream of payments, one in a hundred of them no event at
all; the whole system serves the demo's students, with its duplicates, forged callbacks, failures and dead letters. A
run counts only when everything arrived. Raw lines, the median of each minute, go to bench/results/memory.jsonl.
"""

import argparse
import asyncio
import json
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import asyncpg

from bench.bench_engine import payments
from bench.engine_runs import MODULES, WORKER, machine_load, place_for_a_run, running, until_drained
from bench.sampling import Samples, sampled
from services.common.events import PurchaseCreated
from services.common.settings import Settings
from services.common.topics import Topics
from services.engine.producer import Producer, open_producer
from services.operations.topic_reader import read_ends
from services.sandbox.demo.plan import make_plan
from services.sandbox.demo.show import Watcher, show
from services.sandbox.demo.system import System
from services.sandbox.stack import temporary_stack

RESULTS = Path(__file__).parent / "results" / "memory.jsonl"
_EVERY_S = 5.0
_MINUTE_S = 60.0
_BURST_S = 0.2
_POISON_EVERY = 100
# Of the first minutes: pools, caches and statements are filled; memory may still grow.
_WARM_MINUTES = 5


def keep(what: str, rate: float, samples: Samples, begin: float) -> None:
    """`first_mb` and `last_mb`: medians of the ten minutes after the first five, and of the last ten."""
    by_minute: dict[int, list[int]] = {}
    for sample in samples.taken:
        by_minute.setdefault(int((sample.at - begin) / _MINUTE_S), []).append(sample.rss_bytes)
    minutes = [round(statistics.median(rss) / 2**20, 1) for _, rss in sorted(by_minute.items())]
    warm = minutes[_WARM_MINUTES:] or minutes
    line = {
        "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "what": what,
        "rate": rate,
        "minutes": len(minutes),
        "first_mb": statistics.median(warm[:10]),
        "last_mb": statistics.median(warm[-10:]),
        "peak_mb": round(samples.peak_rss_bytes / 2**20, 1),
        "cpu_s": round(samples.cpu_s(begin, time.time()), 1),
        "machine_load": machine_load(),
        "rss_mb": minutes,
    }
    RESULTS.parent.mkdir(exist_ok=True)
    with RESULTS.open("a") as lines:
        lines.write(f"{json.dumps(line)}\n")
    sys.stdout.write(f"{json.dumps({name: value for name, value in line.items() if name != 'rss_mb'})}\n")
    sys.stdout.flush()


async def worker_alone(settings: Settings, *, minutes: float, rate: float) -> None:
    """Raises AssertionError when a purchase, an event or a dead letter is missing, or is there twice."""
    async with place_for_a_run(settings, partitions=6) as own:
        topics = Topics.of(own)
        with tempfile.TemporaryDirectory() as directory:
            async with running(own, MODULES["worker"], Path(directory) / "worker.log", every_s=_EVERY_S) as samples:
                begin = time.time()
                async with open_producer(own, "bench") as producer:
                    offered, poison = await _stream(producer, own, minutes=minutes, rate=rate)
                await until_drained(own)
        connection = await asyncpg.connect(own.required_database_url())
        try:
            bought = await connection.fetchval("SELECT count(*) FROM student_course_purchases")
        finally:
            await connection.close()
        told, dead = await _count(own, topics.main(PurchaseCreated)), await _count(own, topics.dead_letters(WORKER))
        assert (bought, told, dead) == (offered - poison, offered - poison, poison), (bought, told, dead, offered)
    keep("purchase-worker alone", rate, samples, begin)


async def _stream(producer: Producer, settings: Settings, *, minutes: float, rate: float) -> tuple[int, int]:
    """How many records were offered, and how many of them were no event."""
    bursts, size = round(minutes * _MINUTE_S / _BURST_S), round(rate * _BURST_S)
    loop = asyncio.get_running_loop()
    start, offered, poison = loop.time(), 0, 0
    for number in range(bursts):
        await asyncio.sleep(start + number * _BURST_S - loop.time())
        burst = []
        for record in payments(size, first=offered):
            offered += 1
            is_poison = offered % _POISON_EVERY == 0
            poison += is_poison
            value = (record.value or b"")[:-3] if is_poison else record.value
            burst.append(replace(record, topic=settings.kafka_topic_prefix + record.topic, value=value))
        await producer.send_all(burst)
    return offered, poison


async def _count(settings: Settings, topic: str) -> int:
    return sum(end - low for low, end in (await read_ends(settings, [topic])).values())


async def whole_system(settings: Settings, *, minutes: float, rate: float) -> None:
    """Raises AssertionError when the books do not balance afterwards."""
    plan = make_plan(payments=round(minutes * _MINUTE_S * rate), rate=rate, seed=1, today=datetime.now(UTC).date())
    all_samples: dict[str, Samples] = {}
    begin = time.time()

    async def watch(system: System) -> None:
        pids = {name: child.pid for name, child in system.children.items() if child.pid is not None}
        async with _sampled_together(pids) as samples:
            all_samples.update(samples)
            await asyncio.sleep(plan.duration_s)

    with tempfile.TemporaryDirectory() as directory:
        quiet = Watcher(phase=lambda _text: None, counts=lambda _journeys, _stages: None)
        shown = await show(settings, plan, directory=Path(directory), watcher=quiet, meanwhile=watch)
    # On a machine with other work some orders may be refused with a 503; whatever was accepted has to balance.
    assert shown.ledger.balanced, shown.ledger.violations[:10]
    sys.stdout.write(f"{len(shown.refused)} of {len(plan.journeys)} orders refused\n")
    for name, samples in all_samples.items():
        keep(name, rate, samples, begin)


@asynccontextmanager
async def _sampled_together(pids: Mapping[str, int]) -> AsyncIterator[Mapping[str, Samples]]:
    async with AsyncExitStack() as stack:
        yield {name: await stack.enter_async_context(sampled(pid, every_s=_EVERY_S)) for name, pid in pids.items()}


async def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--worker-rate", type=float, default=200.0, help="payments/s for the worker alone")
    parser.add_argument("--system-rate", type=float, default=5.0, help="payments/s for the whole system")
    parser.add_argument("--only", choices=("worker", "system"), help="default: one after the other")
    options = parser.parse_args(arguments)
    given = Settings.from_environment()
    with temporary_stack(given, given.state_directory / "bench") as stack:
        settings = Settings.from_environment(
            kafka_bootstrap_servers=stack.kafka_bootstrap_servers, database_url=stack.database_url, metrics_port=0
        )
        if options.only != "system":
            await worker_alone(settings, minutes=options.minutes, rate=options.worker_rate)
        if options.only != "worker":
            await whole_system(settings, minutes=options.minutes, rate=options.system_rate)


if __name__ == "__main__":
    asyncio.run(main())
