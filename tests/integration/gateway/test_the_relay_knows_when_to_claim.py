"""A commit of its own gateway wakes the relay; while Kafka takes nothing it claims nothing."""

from collections.abc import AsyncIterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import cast
from uuid import UUID

import pytest

from services.common.database import Database
from services.common.errors import DependencyError, RecordError
from services.common.settings import Settings
from services.engine.producer import Producer
from services.engine.records import OutgoingRecord
from services.gateway_api.publishing import outbox, relay
from services.gateway_api.publishing.outbox import Claimed
from tests.support.books import outbox_events
from tests.support.checkout import confirm, signed_callback
from tests.support.eventually import eventually
from tests.support.gateway import Gateway, add_course, place_order, running_gateway
from tests.support.relays import running_relays


@pytest.fixture
async def connected(settings: Settings, tmp_path: Path) -> AsyncIterator[Gateway]:
    url = settings.required_database_url()
    await add_course(url)
    kafka = {
        name: getattr(settings, name) for name in ("kafka_bootstrap_servers", "kafka_topic_prefix", "kafka_partitions")
    }
    async with running_gateway(url, tmp_path, **kafka) as gateway:
        yield gateway


async def pay_one(gateway: Gateway, number: int) -> None:
    order = await place_order(gateway, key=f"key-{number}")
    assert (await confirm(gateway, signed_callback(gateway, order["providerOrderId"], f"pay_{number}")))[0] == 200


@pytest.fixture
def claims(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many rows each claim got."""
    claim, counted = outbox.claim, list[int]()

    async def counting(database: Database, token: UUID, *, lease: timedelta, rows_max: int) -> list[Claimed]:
        rows = await claim(database, token, lease=lease, rows_max=rows_max)
        counted.append(len(rows))
        return rows

    monkeypatch.setattr(outbox, "claim", counting)
    return counted


async def test_a_commit_wakes_it_long_before_its_next_poll(
    connected: Gateway, database_url: str, monkeypatch: pytest.MonkeyPatch, claims: list[int]
) -> None:
    monkeypatch.setattr(relay, "OUTBOX_POLL_S", 600.0)
    async with running_relays(connected):

        async def waits() -> bool:
            return claims == [0]

        await eventually(waits)
        await pay_one(connected, 1)

        async def is_published() -> bool:
            return len(await outbox_events(database_url, published=True)) == 1

        await eventually(is_published, within_s=60)


class DeafProducer:
    async def deliver(self, records: Sequence[OutgoingRecord]) -> list[RecordError | None]:
        return [DependencyError("away", dependency="kafka") for _ in records]


async def test_while_kafka_takes_nothing_nothing_is_claimed(connected: Gateway, claims: list[int]) -> None:
    await pay_one(connected, 1)
    working = relay._Relay(connected.dependencies, cast("Producer", DeafProducer()))
    assert [await working.publish_some() for _ in range(5)] == [False] * 5
    # The breaker is open for a second; then one round asks.
    assert claims[0] == 1
    assert len(claims) <= 2
