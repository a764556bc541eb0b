"""How fast the purchase worker drains Kafka, beside a bare loop that does the least that has to be done.

`make bench-engine`, or `python -m bench.bench_engine --records 20000 --rounds 1 --only rate`. Real processes, a real
broker and PostgreSQL. The two alternate (ABBA), so that whatever else the machine does meets both. A run counts only
when everything arrived exactly once. Raw lines go to bench/results/engine.jsonl.
"""

import argparse
import asyncio
import statistics
import sys
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path

from bench.engine_faults import fail_one_in_a_hundred
from bench.engine_faults import failing as failing_of
from bench.engine_lateness import lateness
from bench.engine_runs import Result, drain
from services.common.codec import load_codec
from services.common.events import PaymentSucceeded, Schedule, order_event_id
from services.common.settings import Settings
from services.common.topics import EVENT_TOPICS
from services.engine.records import OutgoingRecord
from services.sandbox.stack import temporary_stack

RESULTS = Path(__file__).parent / "results" / "engine.jsonl"


def payments(count: int, *, first: int = 0) -> list[OutgoingRecord]:
    codec, topic = load_codec(), EVENT_TOPICS[PaymentSucceeded]
    slots = [f"{hour:02}:00" for hour in range(8, 20)]
    records = []
    for number in range(first, first + count):
        order_id = f"ord_{number:08}"
        event = PaymentSucceeded(
            event_id=order_event_id("PaymentSucceeded", order_id),
            order_id=order_id,
            payment_id=f"pay_{number:08}",
            provider="razorpay",
            student_id=f"student-{number % 5000:06}",
            course_id=f"course-{number % 50 + 1:04}",
            purchase_tier=(10, 20, 30)[number % 3],
            amount_minor=500_000,
            currency="INR",
            confirmed_at=datetime.now(UTC),
            schedule=Schedule(
                start_date=date(2030, 1, 7),
                time_slot=slots[number % len(slots)],
                weekdays=(1, 3),
                time_zone="Asia/Kolkata",
                duration_minutes=60,
                mode="online",
            ),
            metadata={"channel": "web"},
        )
        records.append(OutgoingRecord(topic=topic, key=order_id.encode(), value=codec.encode_framed(event)))
    return records


def tell(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def keep(result: Result) -> Result:
    RESULTS.parent.mkdir(exist_ok=True)
    with RESULTS.open("a") as lines:
        lines.write(f"{result.line()}\n")
    tell(result.line())
    return result


async def rate(settings: Settings, records: Sequence[OutgoingRecord], rounds: int) -> None:
    """Worker and bare loop, alternating."""
    await _beside(settings, "bare", {"worker": records, "bare": records}, rounds)


async def peers(settings: Settings, records: Sequence[OutgoingRecord], rounds: int) -> None:
    """Worker and FastStream, alternating; a twentieth is enough for the one that goes record by record."""
    await _beside(settings, "faststream", {"worker": records, "faststream": records[: len(records) // 20]}, rounds)


async def _beside(settings: Settings, other: str, given: Mapping[str, Sequence[OutgoingRecord]], rounds: int) -> None:
    found: dict[str, list[Result]] = {what: [] for what in given}
    for number in range(rounds):
        turn = ("worker", other, other, "worker")
        for what in turn if number % 2 == 0 else (other, "worker", "worker", other):
            found[what].append(keep(await drain(settings, given[what], what=what, partitions=6)))
    for what, results in found.items():
        summary(what, results)
    ratios = [worker.rate / theirs.rate for worker, theirs in zip(found["worker"], found[other], strict=True)]
    tell(f"worker / {other}: median {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})")


async def failing(settings: Settings, records: Sequence[OutgoingRecord], rounds: int) -> None:
    """One record in a hundred fails, and comes through at its first retry; against none. With an error that names the
    record, as a constraint's does, and with one that does not.
    """
    ids = [(record.key or b"").decode() for record in records]
    found: dict[str, list[Result]] = {"none": [], "named": [], "unnamed": []}

    async def run(how: str) -> None:
        async def fail_some(own: Settings) -> None:
            await fail_one_in_a_hundred(own, ids, named=how == "named")

        prepare = None if how == "none" else fail_some
        result = await drain(settings, records, what="worker", partitions=6, prepare=prepare)
        fail = len(failing_of(ids)) if prepare else 0
        if (result.retried, result.dead) != (fail, 0):
            raise SystemExit(f"{fail} were to be retried, {result.retried} were, {result.dead} are dead: no figure")
        share = fail / len(ids)
        found[how].append(keep(replace(result, notes={"failing": share, "named": float(how == "named")})))

    for _ in range(rounds):
        for how in (*found, *reversed(found)):
            await run(how)
    for how, results in found.items():
        summary(f"failing: {how}", results)


async def growth(settings: Settings, records: Sequence[OutgoingRecord], rounds: int) -> None:
    """With more partitions, and with a second process."""
    for _ in range(rounds):
        for partitions, processes in ((1, 1), (3, 1), (6, 1), (6, 2)):
            keep(await drain(settings, records, what="worker", partitions=partitions, processes=processes))


async def late(settings: Settings, _records: Sequence[OutgoingRecord], rounds: int) -> None:
    """A thousand records wait for their retry; and thirty a second begin to, on each tier, for twenty seconds."""
    for _ in range(rounds):
        keep(await lateness(settings, payments(1_000)))
        keep(await lateness(settings, payments(1 + 3 * 30 * 20), each_second=30))


def summary(what: str, results: Sequence[Result]) -> None:
    rates = [result.rate for result in results]
    cpu = statistics.median(result.cpu_ms_per_1000 for result in results)
    memory = max(result.peak_rss_mb for result in results)
    tell(
        f"{what}: {statistics.median(rates):,.0f} records/s ({min(rates):,.0f} to {max(rates):,.0f}), "
        f"{cpu:.1f} CPU-ms per 1,000, at most {memory:.0f} MB"
    )


PARTS: Mapping[str, Callable[[Settings, Sequence[OutgoingRecord], int], Awaitable[None]]] = {
    "rate": rate,
    "peers": peers,
    "failing": failing,
    "growth": growth,
    "late": late,
}


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=5, help="each with two runs of either")
    parser.add_argument("--only", choices=PARTS, action="append", help="default: all parts")
    options = parser.parse_args()
    given = Settings.from_environment()
    directory = given.state_directory / "bench"
    with temporary_stack(given, directory) as stack:
        settings = Settings.from_environment(
            kafka_bootstrap_servers=stack.kafka_bootstrap_servers, database_url=stack.database_url, metrics_port=0
        )
        records = payments(options.records)
        for name in options.only or PARTS:
            started = time.monotonic()
            await PARTS[name](settings, records, options.rounds)
            tell(f"{name}: {time.monotonic() - started:.0f} s")


if __name__ == "__main__":
    asyncio.run(main())
