"""PostgreSQL goes away between a relay's claim and its mark: as soon as it is back what Kafka has is marked, and the
rest is sent. Nobody waits for the lease, nothing is sent twice.
"""

from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import wraps
from pathlib import Path

import pytest

from services.common.errors import DependencyError
from services.common.events import PaymentSucceeded
from services.common.settings import Settings
from services.gateway_api.limits import OUTBOX_LEASE_S
from services.gateway_api.publishing import outbox
from services.operations.topic_reader import read_topics
from tests.support.books import outbox_events
from tests.support.checkout import confirm, signed_callback
from tests.support.eventually import eventually
from tests.support.gateway import Gateway, add_course, place_order, running_gateway
from tests.support.relays import running_relays

AWAY = DependencyError("away", dependency="postgresql")
Statement = Callable[..., Awaitable[object]]


@pytest.fixture
async def connected(settings: Settings, tmp_path: Path) -> AsyncIterator[Gateway]:
    url = settings.database_url.get_secret_value()
    await add_course(url)
    kafka = {
        name: getattr(settings, name) for name in ("kafka_bootstrap_servers", "kafka_topic_prefix", "kafka_partitions")
    }
    async with running_gateway(url, tmp_path, **kafka) as gateway:
        yield gateway


def _lost_before(statement: Statement, calls: Counter[str]) -> Statement:
    """The first call does not reach PostgreSQL."""

    @wraps(statement)
    async def lost(*given: object, **named: object) -> object:
        calls[statement.__name__] += 1
        if calls[statement.__name__] == 1:
            raise AWAY
        return await statement(*given, **named)

    return lost


def _lost_after(statement: Statement, calls: Counter[str]) -> Statement:
    """Of the first call that does something the answer is lost."""

    @wraps(statement)
    async def lost(*given: object, **named: object) -> object:
        told = await statement(*given, **named)
        if told and not calls[statement.__name__]:
            calls[statement.__name__] += 1
            raise AWAY
        return told

    return lost


@pytest.mark.parametrize(("name", "losing"), [("mark_published", _lost_before), ("claim", _lost_after)])
async def test_it_is_settled_when_postgresql_is_back(
    connected: Gateway,
    database_url: str,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    losing: Callable[[Statement, Counter[str]], Statement],
) -> None:
    for number in range(3):
        order = await place_order(connected, key=f"key-{number}")
        assert (await confirm(connected, signed_callback(connected, order["providerOrderId"], f"pay_{number}")))[
            0
        ] == 200
    calls = Counter[str]()
    monkeypatch.setattr(outbox, name, losing(getattr(outbox, name), calls))
    async with running_relays(connected):

        async def all_published() -> bool:
            return len(await outbox_events(database_url, published=True)) == 3

        await eventually(all_published, within_s=OUTBOX_LEASE_S / 2)
    assert calls[name]
    records = await read_topics(connected.settings, [connected.dependencies.topics.main(PaymentSucceeded)])
    assert len(records) == 3
