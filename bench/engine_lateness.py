"""How late retries are: all at once on one tier, due within the jitter of its delay; or so many on every tier each
second.
"""

import asyncio
import random
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from bench.engine_runs import MODULES, WORKER, Result, checked, machine_load, place_for_a_run, running, until_drained
from services.common.events import PaymentSucceeded, PurchaseCreated
from services.common.limits import RETRY_JITTER
from services.common.settings import Settings
from services.common.topics import Topics
from services.engine.producer import Producer, open_producer
from services.engine.records import OutgoingRecord
from services.operations.topic_reader import read_topics

_DELAYS_S = {"2s": 2.0, "4s": 4.0, "8s": 8.0}
_PARTITIONS = 6


async def lateness(settings: Settings, records: Sequence[OutgoingRecord], *, each_second: int = 0) -> Result:
    """`each_second`: so many begin to wait on every tier, as when so many records fail each second and never succeed;
    0: all at once, on the last tier.

    From the due time to the acknowledgement of the event that the retry made, handling included. Raises
    AssertionError for one that was early. `rate` is that of the due times.
    """
    before = machine_load()
    async with place_for_a_run(settings, partitions=_PARTITIONS) as own:
        topics = Topics.of(own)
        with tempfile.TemporaryDirectory() as directory:
            async with running(own, MODULES["worker"], Path(directory) / "worker.log") as samples:
                # Warm: a connection, the statements, the consumers' assignments.
                async with open_producer(own, "bench") as producer:
                    await producer.send_all([replace(records[0], topic=topics.main(PaymentSucceeded))])
                    await until_drained(own)
                    due_ms = await _park_steadily(own, records[1:], producer, each_second)
                await until_drained(own)
        await checked(own, [record.key or b"" for record in records])
        told = {record.key: record.timestamp_ms for record in await read_topics(own, [topics.main(PurchaseCreated)])}
    late_ms = sorted(told[key] - due for key, due in due_ms.items())
    assert late_ms[0] >= -1, f"{-late_ms[0]} ms early"
    span_s = (max(due_ms.values()) - min(due_ms.values())) / 1000
    cpu_s = samples.cpu_s(min(due_ms.values()) / 1000, max(told.values()) / 1000)
    notes = {f"late_p{share}_ms": float(late_ms[len(late_ms) * share // 100]) for share in (50, 90, 99)}
    return Result(
        what="lateness" if not each_second else f"lateness at {each_second}/s",
        records=len(due_ms),
        partitions=_PARTITIONS,
        processes=1,
        rate=round(len(due_ms) / span_s, 1),
        cpu_ms_per_1000=round(cpu_s / len(due_ms) * 1e6, 2),
        peak_rss_mb=round(samples.peak_rss_bytes / 2**20, 1),
        load=(before, machine_load()),
        notes=notes | {"late_max_ms": float(late_ms[-1])},
    )


async def _park_steadily(
    settings: Settings, records: Sequence[OutgoingRecord], producer: Producer, each_second: int
) -> dict[bytes | None, int]:
    if not each_second:
        return await _park(settings, records, producer, "8s")
    due_ms: dict[bytes | None, int] = {}
    started, size = time.monotonic(), each_second * len(_DELAYS_S)
    for second in range(len(records) // size):
        await asyncio.sleep(max(0.0, started + second - time.monotonic()))
        for number, tier in enumerate(_DELAYS_S):
            share = records[second * size + number : (second + 1) * size : len(_DELAYS_S)]
            due_ms |= await _park(settings, share, producer, tier)
    return due_ms


async def _park(
    settings: Settings, records: Sequence[OutgoingRecord], producer: Producer, tier: str
) -> dict[bytes | None, int]:
    """As records that have failed now. Key -> when its retry is due, Unix milliseconds."""
    topics = Topics.of(settings)
    origin = topics.main(PaymentSucceeded)
    now_ms = int(time.time() * 1000)
    delay_ms = 1000 * _DELAYS_S[tier]
    due_ms = {record.key: now_ms + int(delay_ms * (1 + RETRY_JITTER * random.random())) for record in records}
    await producer.send_all(
        [
            OutgoingRecord(
                topic=topics.retry(WORKER, tier),
                key=record.key,
                value=record.value,
                headers=tuple(
                    (name, str(value).encode())
                    for name, value in {
                        "retry-attempt": 1 + list(_DELAYS_S).index(tier),
                        "retry-tier": tier,
                        "retry-due-ms": due_ms[record.key],
                        "origin-topic": origin,
                        "origin-partition": 0,
                        "origin-offset": number,
                    }.items()
                ),
            )
            for number, record in enumerate(records)
        ]
    )
    return due_ms
