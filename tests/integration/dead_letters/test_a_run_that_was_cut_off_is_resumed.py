"""Each record is published once, however a run ended."""

import asyncio
import re
import signal
from collections.abc import Sequence
from dataclasses import replace
from typing import cast

import pytest

from services.commands.dlq.report import closing_line
from services.common.errors import DependencyError, RecordError
from services.common.settings import Settings
from services.engine.producer import KafkaClientError, Producer
from services.engine.records import OutgoingRecord
from services.operations.replay.audit import audit_runs
from services.operations.replay.replaying import Report, resume_run
from services.operations.replay.runs import find_run
from tests.support.dead_letters import (
    FAST,
    WORKER,
    bury,
    execute_sql,
    fetch,
    on_first_tier,
    opened,
    orders_of,
    replay,
    run_dlq,
    start_dlq,
)
from tests.support.eventually import eventually

LETTERS = 60
ALL = sorted(f"ord_{number}" for number in range(LETTERS))


class KilledError(Exception):
    """What a test's producer raises where a process would be gone."""


class DyingProducer:
    """Dies in its second call: after Kafka has acknowledged the first `arriving` of the records."""

    def __init__(self, producer: Producer, *, arriving: int) -> None:
        self._producer = producer
        self._arriving = arriving
        self._calls = 0

    async def deliver(self, records: Sequence[OutgoingRecord]) -> list[RecordError | None]:
        self._calls += 1
        if self._calls < 2:
            return await self._producer.deliver(records)
        await self._producer.deliver(records[: self._arriving])
        raise KilledError


async def resumed(settings: Settings) -> Report:
    async with opened(settings) as tools:
        async with tools.database.connection() as connection:
            [row] = await fetch(settings, "SELECT id FROM replay_runs")
            run = await find_run(connection, str(row["id"])[:8])
        return await resume_run(tools, run, "ada", FAST, stop=asyncio.Event(), observe=lambda _records: None)


@pytest.mark.parametrize("arriving", [0, 7, 200])
async def test_what_was_on_its_way_is_found_or_sent_again(settings: Settings, arriving: int) -> None:
    await bury(settings, LETTERS)
    async with opened(settings) as tools:
        dying = cast("Producer", DyingProducer(tools.producer, arriving=arriving))
        with pytest.raises(KilledError):
            await replay(replace(tools, producer=dying), orders=replace(FAST, rate=80))
    results = {row["result"] for row in await fetch(settings, "SELECT result FROM replay_items")}
    assert results == {"planned", "sending", "replayed"}
    report = await resumed(settings)
    assert (report.ended.state, report.counts.replayed, report.remaining) == ("finished", LETTERS, 0)
    assert orders_of(await on_first_tier(settings)) == ALL


async def test_a_new_run_takes_over_what_another_left(settings: Settings) -> None:
    await bury(settings, LETTERS)
    async with opened(settings) as tools:
        dying = cast("Producer", DyingProducer(tools.producer, arriving=5))
        with pytest.raises(KilledError):
            await replay(replace(tools, producer=dying), orders=replace(FAST, rate=80))
        await replay(tools)
    assert orders_of(await on_first_tier(settings)) == ALL


async def test_kafka_away_interrupts_and_loses_nothing(settings: Settings) -> None:
    class Refusing:
        async def deliver(self, records: Sequence[OutgoingRecord]) -> list[RecordError | None]:
            return [DependencyError("no broker", dependency="kafka") for _ in records]

    await bury(settings, LETTERS)
    async with opened(settings) as tools:
        report = await replay(replace(tools, producer=cast("Producer", Refusing())))
    assert (report.ended.state, report.counts.replayed, report.remaining) == ("interrupted", 0, LETTERS)
    await resumed(settings)
    assert orders_of(await on_first_tier(settings)) == ALL


async def test_resuming_a_finished_run_changes_nothing(settings: Settings) -> None:
    await bury(settings, 3)
    async with opened(settings) as tools:
        await replay(tools)
    await execute_sql(settings, "UPDATE replay_runs SET back_in_dlq = 2")
    everything = "SELECT replay_runs.*, (SELECT count(*) FROM audit_log) AS said FROM replay_runs"
    before = await fetch(settings, everything)
    report = await resumed(settings)
    assert (report.ended.state, report.counts.back_in_dlq, report.remaining) == ("finished", 2, 0)
    assert await fetch(settings, everything) == before


async def test_what_was_seen_before_an_interruption_is_not_forgotten_by_going_on(settings: Settings) -> None:
    await bury(settings, 3)
    async with opened(settings) as tools:
        await replay(tools, orders=replace(FAST, records_max=1))
        await execute_sql(settings, "UPDATE replay_runs SET back_in_dlq = 1")
    report = await resumed(settings)
    assert (report.ended.state, report.counts.replayed, report.counts.back_in_dlq) == ("finished", 3, 1)


async def test_what_a_newer_run_took_over_is_with_another_run(settings: Settings) -> None:
    await bury(settings, 3)
    async with opened(settings) as tools:
        first = await replay(tools, orders=replace(FAST, records_max=1))
        await replay(tools)
        report = await resume_run(tools, first.run, "ada", FAST, stop=asyncio.Event(), observe=lambda _records: None)
    assert (report.ended.state, report.counts.replayed, report.already) == ("finished", 1, 2)
    assert "with another run 2" in closing_line(report)


async def test_a_producer_beyond_repair_interrupts_and_another_goes_on(settings: Settings) -> None:
    class Broken:
        async def deliver(self, _records: Sequence[OutgoingRecord]) -> list[RecordError | None]:
            raise KafkaClientError("fenced")

    await bury(settings, LETTERS)
    async with opened(settings) as tools:
        report = await replay(replace(tools, producer=cast("Producer", Broken())))
    assert (report.ended.state, report.ended.why, report.remaining) == ("interrupted", "fenced", LETTERS)
    [row] = await fetch(settings, "SELECT state FROM replay_runs")
    assert row["state"] == "interrupted"
    await resumed(settings)
    assert orders_of(await on_first_tier(settings)) == ALL


async def test_a_record_that_arrived_without_an_answer_is_not_sent_again(settings: Settings) -> None:
    class Deaf:
        def __init__(self, producer: Producer) -> None:
            self._producer = producer

        async def deliver(self, records: Sequence[OutgoingRecord]) -> list[RecordError | None]:
            await self._producer.deliver(records)
            return [DependencyError("no answer", dependency="kafka") for _ in records]

    await bury(settings, LETTERS)
    async with opened(settings) as tools:
        deaf = replace(tools, producer=cast("Producer", Deaf(tools.producer)))
        first = await replay(deaf)
        assert (first.ended.state, first.remaining) == ("interrupted", LETTERS)
        second = await replay(tools)
        assert (second.counts.replayed, second.ended.state) == (0, "finished")
        audit = await audit_runs(tools.database)
    assert orders_of(await on_first_tier(settings)) == ALL
    assert audit.broken == []
    assert [run.counts.replayed for run in audit.runs] == [LETTERS, 0]


async def test_postgresql_gone_in_the_middle(settings: Settings) -> None:
    await bury(settings, LETTERS)
    process = await start_dlq(settings, "replay", WORKER, "--execute", "--reason", "a test", "--rate", "4")
    await eventually(lambda: replayed_some(settings), within_s=40)
    await execute_sql(
        settings,
        "SELECT pg_terminate_backend(pid) FROM pg_locks"
        " JOIN pg_database ON pg_database.oid = database"
        " WHERE locktype = 'advisory' AND datname = current_database()",
    )
    _, errors = await process.communicate()
    assert process.returncode == 5, errors
    command = re.search(r"go on with: coursepay dlq (replay --resume \S+ --execute)", errors.decode())
    assert command is not None, errors
    ran = await run_dlq(settings, *command[1].split(), "--rate", "1000", "--json")
    assert (ran.code, ran.json["replayed"]) == (0, LETTERS), ran.errors
    assert orders_of(await on_first_tier(settings)) == ALL


async def test_kill_9_in_the_middle(settings: Settings) -> None:
    await bury(settings, LETTERS)
    process = await start_dlq(settings, "replay", WORKER, "--execute", "--reason", "a test", "--rate", "4")
    await eventually(lambda: replayed_some(settings), within_s=40)
    process.send_signal(signal.SIGKILL)
    await process.communicate()
    assert len(await on_first_tier(settings)) < LETTERS
    [row] = await fetch(settings, "SELECT id, state FROM replay_runs")
    assert row["state"] == "running"
    ran = await run_dlq(settings, "replay", "--resume", str(row["id"]), "--execute", "--rate", "1000", "--json")
    assert (ran.code, ran.json["replayed"], ran.json["remaining"]) == (0, LETTERS, 0), ran.errors
    assert orders_of(await on_first_tier(settings)) == ALL


async def test_ctrl_c_finishes_the_record_and_says_how_to_go_on(settings: Settings) -> None:
    await bury(settings, LETTERS)
    process = await start_dlq(settings, "replay", WORKER, "--execute", "--reason", "a test", "--rate", "4")
    await eventually(lambda: replayed_some(settings), within_s=40)
    process.send_signal(signal.SIGINT)
    out, errors = await process.communicate()
    assert process.returncode == 5, errors
    sent = len(await on_first_tier(settings))
    assert 0 < sent < LETTERS
    command = re.search(rb"coursepay dlq (replay --resume \S+ --execute)", out)
    assert command is not None, out
    [row] = await fetch(settings, "SELECT state, replayed FROM replay_runs")
    assert row == {"state": "interrupted", "replayed": sent}
    ran = await run_dlq(settings, *command[1].decode().split(), "--rate", "1000", "--json")
    assert (ran.code, ran.json["replayed"], ran.json["state"]) == (0, LETTERS, "finished"), ran.errors
    assert orders_of(await on_first_tier(settings)) == ALL


async def replayed_some(settings: Settings) -> bool:
    return bool(await fetch(settings, "SELECT FROM replay_items WHERE result = 'replayed'"))
