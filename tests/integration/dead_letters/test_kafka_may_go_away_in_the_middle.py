"""A run that loses Kafka ends like any other: on record with what it did, and with its closing line."""

import asyncio
import secrets
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest

from services.commands.dlq.report import closing_line
from services.common.errors import RecordError
from services.common.settings import Settings
from services.common.topic_admin import apply_topics
from services.engine.producer import Producer
from services.engine.records import OutgoingRecord
from services.sandbox.stack import Stack, temporary_stack
from tests.support.dead_letters import FAST, bury, fetch, opened, replay

LETTERS = 30


@pytest.fixture
def own_kafka(stack: Stack, tmp_path: Path) -> Iterator[Stack]:
    """A broker that nobody else uses, since it is stopped; the database is the one of all tests."""
    settings = Settings.from_environment(kafka_bootstrap_servers=None, database_url=stack.database_url)
    with temporary_stack(settings, tmp_path / "stack") as own:
        yield own


class LosingKafka:
    """Kafka is stopped after the first step has arrived."""

    def __init__(self, producer: Producer, kafka: Stack) -> None:
        self._producer = producer
        self._stack = kafka
        self._arrived = False

    async def deliver(self, records: Sequence[OutgoingRecord]) -> list[RecordError | None]:
        if self._arrived:
            await asyncio.to_thread(self._stack.kafka.stop)
        self._arrived = True
        return await self._producer.deliver(records)


@pytest.mark.timeout(300)
async def test_kafka_stopped_in_the_middle_leaves_an_interrupted_run_that_says_what_it_did(
    own_kafka: Stack, database_url: str, tmp_path: Path
) -> None:
    settings = Settings.from_environment(
        kafka_bootstrap_servers=own_kafka.kafka_bootstrap_servers,
        kafka_topic_prefix=f"test-{secrets.token_hex(4)}-",
        kafka_partitions=2,
        database_url=database_url,
        state_directory=tmp_path,
    )
    await apply_topics(settings)
    await bury(settings, LETTERS)
    async with opened(settings) as tools:
        losing = replace(tools, producer=cast("Producer", LosingKafka(tools.producer, own_kafka)))
        report = await replay(losing, orders=replace(FAST, rate=40, watch_s=60.0))
    assert report.ended.state == "interrupted"
    assert 0 < report.counts.replayed < LETTERS
    assert report.remaining == LETTERS - report.counts.replayed
    assert report.seen is None
    assert "not watched: Kafka" in closing_line(report)
    [row] = await fetch(settings, "SELECT state, replayed, back_in_dlq, result_sha256 FROM replay_runs")
    assert (row["state"], row["replayed"], row["back_in_dlq"]) == ("interrupted", report.counts.replayed, 0)
    assert row["result_sha256"] is not None
