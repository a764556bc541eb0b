"""From the outbox to Kafka: everything, each order's events in order, whoever dies on the way."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from services.common.codec import load_codec
from services.common.events import Event, PaymentAdjusted, PaymentSucceeded, adjustment_event_id
from services.common.outbox import add_events
from services.common.settings import Settings
from services.engine.records import Record
from services.gateway_api.publishing import outbox, relay
from services.operations.topic_reader import read_topics
from tests.support.books import outbox_events
from tests.support.checkout import confirm, pay
from tests.support.eventually import eventually
from tests.support.gateway import Gateway, add_course, owner_connection, place_order, running_gateway
from tests.support.relays import running_relays
from tests.support.staff import ask

TRACEPARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


@pytest.fixture
async def connected(settings: Settings, tmp_path: Path) -> AsyncIterator[Gateway]:
    """A gateway whose relay, when one runs, meets topics of this test's own."""
    url = settings.database_url.get_secret_value()
    await add_course(url)
    kafka = {
        name: getattr(settings, name) for name in ("kafka_bootstrap_servers", "kafka_topic_prefix", "kafka_partitions")
    }
    async with running_gateway(url, tmp_path, **kafka) as gateway:
        yield gateway


def adjustment(order_id: str, sequence: int) -> PaymentAdjusted:
    return PaymentAdjusted(
        event_id=adjustment_event_id("PaymentAdjusted", order_id, sequence),
        order_id=order_id,
        status="partially_refunded",
        amount_minor=500_000,
        refunded_minor=sequence,
        currency="INR",
        sequence=sequence,
        occurred_at=datetime(2026, 11, 1, tzinfo=UTC),
    )


async def write(gateway: Gateway, *events: Event) -> None:
    """One commit for each."""
    for event in events:
        async with gateway.dependencies.database.transaction() as transaction:
            await add_events(transaction, [(event, TRACEPARENT)], gateway.dependencies.codec)


async def records_of(gateway: Gateway, event: type[Event]) -> list[Record]:
    return await read_topics(gateway.settings, [gateway.dependencies.topics.main(event)])


async def _published(database_url: str, count: int) -> bool:
    return len(await outbox_events(database_url, published=True)) == count


async def test_a_confirmed_payment_is_a_record_with_its_trace(connected: Gateway, database_url: str) -> None:
    order = await place_order(connected, key="key-1")
    fields = await pay(connected, order)
    async with running_relays(connected):
        async with connected.http.post(
            f"{connected.url}/api/v1/payments/confirm", json=fields, headers={"traceparent": TRACEPARENT}
        ) as answer:
            assert answer.status == 200
        await eventually(lambda: _published(database_url, 1))
    [record] = await records_of(connected, PaymentSucceeded)
    assert record.key == order["orderId"].encode()
    [stored] = await outbox_events(database_url)
    assert load_codec().decode(record.value, record.key) == stored
    [(name, value)] = record.headers
    assert name == "traceparent"
    assert value is not None
    # Without an exporter spans have ids all the same: the trace is the caller's.
    assert value.split(b"-")[1] == TRACEPARENT.split("-")[1].encode()


async def test_nothing_is_published_before_its_commit(connected: Gateway, database_url: str) -> None:
    async with running_relays(connected):
        async with connected.dependencies.database.transaction() as transaction:
            await add_events(transaction, [(adjustment("ord_1", 1), None)], connected.dependencies.codec)
            await write(connected, adjustment("ord_2", 1))
            await eventually(lambda: _published(database_url, 1))
            assert len(await records_of(connected, PaymentAdjusted)) == 1
        await eventually(lambda: _published(database_url, 2))


async def test_each_orders_events_stay_in_order_whoever_dies(
    connected: Gateway, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relay, "_LEASE", timedelta(seconds=1))
    orders, length = [f"ord_{number}" for number in range(12)], 15

    async def one_order(order_id: str) -> None:
        await write(connected, *(adjustment(order_id, sequence) for sequence in range(1, length + 1)))

    async with running_relays(connected, count=4) as relays:
        writing = asyncio.gather(*(one_order(order_id) for order_id in orders))
        for victim, after in zip(relays[:3], (10, 60, 120), strict=True):

            async def some_published(count: int = after) -> bool:
                return len(await outbox_events(database_url, published=True)) >= count

            await eventually(some_published, every_s=0.01)
            # Wherever it is: claimed, sent, or about to mark. Its leases stay.
            victim.cancel()
        await writing
        await eventually(lambda: _published(database_url, len(orders) * length), within_s=40)
    told = defaultdict[str, list[int]](list)
    codec = load_codec()
    for record in await records_of(connected, PaymentAdjusted):
        event = codec.decode(record.value, record.key)
        assert isinstance(event, PaymentAdjusted)
        told[event.order_id].append(event.sequence)
    for order_id in orders:
        firsts = list(dict.fromkeys(told[order_id]))
        assert firsts == list(range(1, length + 1)), order_id


async def test_a_row_that_kafka_refuses_blocks_its_own_order_only(connected: Gateway, database_url: str) -> None:
    await write(connected, adjustment("ord_1", 1), adjustment("ord_1", 2), adjustment("ord_2", 1))
    async with owner_connection(database_url) as connection:
        await connection.execute("UPDATE outbox SET type = 'Unheard' WHERE order_id = 'ord_1' AND order_seq = 1")

        async def refused() -> bool:
            return bool(await connection.fetchval("SELECT max(attempts) >= 2 FROM outbox"))

        async with running_relays(connected):
            await eventually(refused)
        rows = await connection.fetch("SELECT order_id, order_seq FROM outbox WHERE published_at IS NOT NULL")
        assert [tuple(row) for row in rows] == [("ord_2", 1)]
        status, page = await ask(connected, "GET", "/outbox")
        assert status == 200
        [blocked] = page["items"]
        assert (blocked["orderId"], blocked["type"], blocked["waitingBehind"]) == ("ord_1", "Unheard", 1)
        assert "Unheard" in blocked["lastError"]
        # Its cause is gone; without the call it would wait for its next turn.
        await connection.execute(
            "UPDATE outbox SET type = 'PaymentAdjusted', due_at = now() + interval '1 h' WHERE attempts > 0"
        )
        again = f"/outbox/{blocked['eventNumber']}/publish"
        assert (await ask(connected, "POST", again, {"reason": "the release is out"}))[1]["status"] == "due"
        assert (await ask(connected, "POST", again))[0] == 404
        assert (await ask(connected, "GET", "/outbox"))[1]["items"] == []
        [row] = await connection.fetch("SELECT actor, action, target, reason FROM audit_log")
        assert tuple(row) == ("staff-1", "outbox.publish", str(blocked["eventNumber"]), "the release is out")
    async with running_relays(connected):
        await eventually(lambda: _published(database_url, 3))


async def test_a_lease_that_ended_marks_nothing(connected: Gateway, database_url: str) -> None:
    await write(connected, adjustment("ord_1", 1))
    database = connected.dependencies.database
    async with owner_connection(database_url) as connection:
        mine, theirs = uuid4(), uuid4()
        [row] = await outbox.claim(database, mine, lease=timedelta(seconds=0), rows_max=10)
        await eventually(lambda: _claim_again(connected, theirs))
        await outbox.mark_published(database, mine, [row.id])
        assert await connection.fetchval("SELECT published_at FROM outbox") is None
        await outbox.mark_published(database, theirs, [row.id])
        assert await connection.fetchval("SELECT published_at FROM outbox") is not None


async def _claim_again(gateway: Gateway, token: UUID) -> bool:
    lease = timedelta(seconds=30)
    return bool(await outbox.claim(gateway.dependencies.database, token, lease=lease, rows_max=10))


async def test_what_was_published_goes_after_a_week_and_nothing_else_does(
    connected: Gateway, database_url: str
) -> None:
    await write(connected, *(adjustment(f"ord_{number}", 1) for number in range(3)))
    async with owner_connection(database_url) as connection:
        await connection.execute("UPDATE outbox SET created_at = now() - interval '30 days'")
        for order_id, days in (("ord_0", 8), ("ord_1", 6)):
            await connection.execute(
                "UPDATE outbox SET published_at = now() - $2::interval WHERE order_id = $1",
                order_id,
                timedelta(days=days),
            )
        database = connected.dependencies.database
        assert await outbox.remove_published(database, older_than=timedelta(days=7), rows_max=10) == 1
        rows = await connection.fetch("SELECT order_id FROM outbox ORDER BY id")
    assert [row["order_id"] for row in rows] == ["ord_1", "ord_2"]


async def test_what_is_left_at_the_end_is_published_before_it(connected: Gateway, database_url: str) -> None:
    order = await place_order(connected, key="key-1")
    fields = await pay(connected, order)
    async with running_relays(connected):
        assert (await confirm(connected, fields))[0] == 200
    assert await _published(database_url, 1)
