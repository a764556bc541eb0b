"""Payments and refunds go on while Kafka is away; afterwards four relays publish all of it, each order in order. It is
away for some seconds; `make outage MINUTES=10` makes it longer.
"""

import asyncio
import os
from collections import defaultdict
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from services.common.events import PaymentAdjusted, PaymentSucceeded
from services.common.settings import Settings
from services.sandbox.stack import Stack
from tests.support.books import outbox_events
from tests.support.checkout import confirm, payment_entity, refund_entity, send_webhook, signed_callback
from tests.support.eventually import eventually
from tests.support.gateway import Gateway, add_course, add_orders, running_gateway
from tests.support.relays import running_relays
from tests.support.services import events_of

ORDERS, REFUNDS = 8, 10
EVERY_S = 0.3
AWAY_S = float(os.environ.get("COURSEPAY_TEST_OUTAGE_S", "3"))
LATER = int(AWAY_S / EVERY_S)


@pytest.mark.timeout(300 + 2 * AWAY_S)
async def test_everything_is_published_in_order_after_an_outage(
    stack: Stack, settings: Settings, tmp_path: Path
) -> None:
    database_url = settings.required_database_url()
    await add_course(database_url)
    await add_orders(database_url, ORDERS + LATER)
    kafka = {
        name: getattr(settings, name) for name in ("kafka_bootstrap_servers", "kafka_topic_prefix", "kafka_partitions")
    }
    total = ORDERS * (1 + REFUNDS) + LATER
    async with running_gateway(database_url, tmp_path, **kafka) as gateway, running_relays(gateway, count=4):
        paying = asyncio.gather(*(_pay_and_take_back(gateway, number) for number in range(1, ORDERS + 1)))

        async def published(count: int) -> bool:
            return len(await outbox_events(database_url, published=True)) >= count

        # In the middle of it: some rows are published, some are claimed, most are to come.
        await eventually(lambda: published(ORDERS), within_s=60, every_s=0.05)
        await asyncio.to_thread(stack.kafka.stop)
        try:
            await _pay_later(gateway)
            await paying
            assert len(await outbox_events(database_url)) == total
            assert not await published(total)
        finally:
            await asyncio.to_thread(stack.kafka.start)
        await eventually(lambda: published(total), within_s=120)
    paid = [event.order_id for event in await events_of(settings, PaymentSucceeded)]
    assert set(paid) == {f"ord_{number}" for number in range(1, ORDERS + LATER + 1)}
    told = defaultdict[str, list[int]](list)
    for event in await events_of(settings, PaymentAdjusted):
        assert isinstance(event, PaymentAdjusted)
        told[event.order_id].append(event.sequence)
    for order_id, sequences in told.items():
        # One that was sent and not marked may come twice; none may come before an earlier one.
        assert list(dict.fromkeys(sequences)) == list(range(1, REFUNDS + 1)), order_id
    assert len(told) == ORDERS


async def _pay_later(gateway: Gateway) -> None:
    """One after the other for as long as Kafka is away."""
    for number in range(ORDERS + 1, ORDERS + LATER + 1):
        await _succeeds(partial(confirm, gateway, signed_callback(gateway, f"order_{number}", f"pay_{number}")))
        await asyncio.sleep(EVERY_S)


async def _pay_and_take_back(gateway: Gateway, number: int) -> None:
    """One payment, then its refunds one by one."""
    order = {"providerOrderId": f"order_{number}", "amountMinor": 500_000, "currency": "INR"}
    payment = payment_entity(order, f"pay_{number}")
    await _succeeds(partial(confirm, gateway, signed_callback(gateway, f"order_{number}", f"pay_{number}")))
    for refund in range(REFUNDS):
        await asyncio.sleep(EVERY_S)
        entity = refund_entity(f"pay_{number}", f"rfnd_{number}_{refund}", 10_000)
        await _succeeds(partial(send_webhook, gateway, "refund.processed", refund=entity, payment=payment))


async def _succeeds(post: Callable[[], Awaitable[tuple[int, Any]]]) -> None:
    """As browsers and providers do, it repeats the 503 of a machine that is busy with something else."""
    while (status := (await post())[0]) != 200:
        assert status == 503
