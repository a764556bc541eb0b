"""The group commit by itself: how much it takes at once, and that it never waits for more to come."""

import asyncio
import gc
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import cast

import pytest

from services.common.database import Database, Transaction
from services.common.errors import DependencyError
from services.common.limits import DELIVERY_TIMEOUT_S
from services.gateway_api.limits import (
    OUTBOX_LEASE_S,
    RECORDING_DEADLINE_S,
    RECORDING_FACTS_MAX,
    RECORDING_FACTS_MIN,
    RECORDING_WRITERS_MAX,
)
from services.gateway_api.payments import recording
from services.gateway_api.payments.recording import Recorder
from services.gateway_api.payments.rows import Recorded, Told
from services.gateway_api.payments.writes import Writer, _lock
from services.gateway_api.providers import VerifiedPayment
from tests.support.eventually import eventually
from tests.support.payment_providers import callback, razorpay_without_network


class ReadyDatabase:
    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[None]:
        yield


class CountingWriter:
    def __init__(self) -> None:
        self.batches: list[int] = []
        self.at_once = self.most_at_once = 0

    async def write(self, _transaction: None, told: Sequence[Told], *, wait: bool) -> list[Recorded]:
        assert not wait
        self.batches.append(len(told))
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        # What comes meanwhile gathers for the next one.
        await asyncio.sleep(0)
        self.at_once -= 1
        return [Recorded(order_id="ord_1", new=True) for _ in told]


class SilentWriter(CountingWriter):
    """Until it `speaks`."""

    def __init__(self) -> None:
        super().__init__()
        self.speaks = asyncio.Event()
        self.held = 0

    async def write(self, _transaction: None, told: Sequence[Told], *, wait: bool) -> list[Recorded]:
        self.held += 1
        try:
            await self.speaks.wait()
            return await super().write(_transaction, told, wait=wait)
        finally:
            self.held -= 1


def recorder_with(writer: CountingWriter) -> Recorder:
    database = cast("Database", ReadyDatabase())
    return Recorder(database, cast("Writer", writer), asyncio.Event(), connections_max=8)


def fact(number: int) -> VerifiedPayment:
    said = razorpay_without_network().read_callback(callback(f"order_{number}", f"pay_{number}"), b"%d" % number)
    assert isinstance(said, VerifiedPayment)
    return said


async def test_a_commit_takes_no_more_than_its_limit() -> None:
    writer = CountingWriter()
    recorder = recorder_with(writer)
    await asyncio.gather(*(recorder.record(fact(number)) for number in range(500)))
    assert RECORDING_FACTS_MAX == 128
    assert writer.batches[:2] == [128, 124]
    assert sum(writer.batches) == 500


async def test_many_who_wait_are_shared_by_a_few_writers() -> None:
    writer = CountingWriter()
    recorder = recorder_with(writer)
    await asyncio.gather(*(recorder.record(fact(number)) for number in range(100)))
    assert writer.most_at_once == RECORDING_WRITERS_MAX == 3
    assert writer.batches[0] == 34


async def test_few_who_wait_share_one_commit() -> None:
    writer = CountingWriter()
    recorder = recorder_with(writer)
    await asyncio.gather(*(recorder.record(fact(number)) for number in range(RECORDING_FACTS_MIN - 1)))
    assert writer.batches == [RECORDING_FACTS_MIN - 1]


async def test_whoever_comes_as_a_writer_ends_does_not_wait_for_it() -> None:
    recorder = recorder_with(CountingWriter())
    async with asyncio.timeout(RECORDING_DEADLINE_S / 2):
        for number in range(10):
            # In the very turn of the loop in which the one before was told.
            await recorder.record(fact(number))


async def test_nothing_is_kept_for_callers_who_have_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recording, "RECORDING_DEADLINE_S", 0.01)
    monkeypatch.setattr(recording, "RECORDING_QUEUE_MAX", 200)
    writer = SilentWriter()
    recorder = recorder_with(writer)
    refused = 0
    for turn in range(10):
        batch = (recorder.record(fact(100 * turn + number)) for number in range(100))
        outcomes = await asyncio.gather(*batch, return_exceptions=True)
        refused += sum(isinstance(outcome, DependencyError) for outcome in outcomes)
    assert refused == 1000
    gc.collect()
    kept = sum(isinstance(one, VerifiedPayment) for one in gc.get_objects())
    # The last turn's, and what the writers hold.
    assert kept <= 100 + RECORDING_WRITERS_MAX * RECORDING_FACTS_MAX
    writer.speaks.set()
    await eventually(lambda: not writer.held)


async def test_a_lone_request_waits_for_nothing() -> None:
    writer = CountingWriter()
    recording = asyncio.create_task(recorder_with(writer).record(fact(1)))
    # Turns of the loop, in which no time needs to pass.
    for _ in range(10):
        await asyncio.sleep(0)
    assert recording.done()
    assert writer.batches == [1]


class Asked:
    """What a statement was sent with."""

    statement: str = ""
    arguments: tuple[object, ...] = ()

    async def fetch(self, statement: str, *arguments: object) -> list[object]:
        self.statement, self.arguments = statement, arguments
        return []


async def test_payment_rows_are_locked_in_one_order_whoever_came_first() -> None:
    told = [Told(fact=fact(number), traceparent=None) for number in (3, 1, 2)]
    for wait in (True, False):
        asked = Asked()
        await _lock(cast("Transaction", asked), told, wait=wait)
        assert asked.arguments == (["razorpay"] * 3, ["order_1", "order_2", "order_3"])
        assert "ORDER BY orders.order_id\n   FOR UPDATE OF payments" in asked.statement


def test_a_lease_of_the_outbox_outlives_the_delivery_of_its_records() -> None:
    # Else a second relay would send what the first one still may.
    assert OUTBOX_LEASE_S > DELIVERY_TIMEOUT_S
