"""Concurrent and Networked: several records at once, never two of one key, in order per key."""

import asyncio
from collections import Counter, defaultdict

from services.common.database import Transaction
from services.common.events import PaymentSucceeded
from services.common.limits import CONCURRENT_RECORDS_MAX
from services.common.settings import Settings
from services.engine.outcomes import Concurrent, Done, Networked, Outcome
from tests.support.engine import is_idle, put, record_of, running_worker
from tests.support.events import payment_succeeded
from tests.support.eventually import eventually

ORDERS = 12
RECORDS_AN_ORDER = 4


class Watcher:
    def __init__(self) -> None:
        self.in_flight: Counter[str] = Counter()
        self.most_at_once = 0
        self.seen: defaultdict[str, list[str]] = defaultdict(list)

    async def watch(self, event: PaymentSucceeded) -> Outcome:
        assert not self.in_flight[event.order_id]
        self.in_flight[event.order_id] += 1
        self.most_at_once = max(self.most_at_once, self.in_flight.total())
        # Long enough for a busy machine to have as many at once as there may be.
        await asyncio.sleep(0.15)
        self.in_flight[event.order_id] -= 1
        self.seen[event.order_id].append(event.payment_id)
        return Done()

    async def watch_in_transaction(self, event: PaymentSucceeded, transaction: Transaction) -> Outcome:
        assert transaction.is_in_transaction()
        return await self.watch(event)


async def _shown(settings: Settings, shape: Concurrent | Networked, watcher: Watcher) -> None:
    expected = [f"pay_{number}" for number in range(RECORDS_AN_ORDER)]
    await put(
        settings,
        *(
            record_of(settings, payment_succeeded(f"ord_{order}", payment_id=payment_id))
            for payment_id in expected
            for order in range(ORDERS)
        ),
    )
    async with running_worker(settings, shape):
        await eventually(lambda: is_idle(settings), every_s=0.5)
    assert watcher.seen == {f"ord_{order}": expected for order in range(ORDERS)}
    assert watcher.most_at_once == CONCURRENT_RECORDS_MAX


async def test_with_a_transaction_each(ladder: Settings) -> None:
    watcher = Watcher()
    await _shown(ladder, Concurrent({PaymentSucceeded: watcher.watch_in_transaction}), watcher)


async def test_without_a_transaction(ladder: Settings) -> None:
    watcher = Watcher()
    await _shown(ladder, Networked({PaymentSucceeded: watcher.watch}), watcher)
