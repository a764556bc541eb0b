"""When everything would become a dead letter, the worker holds still and says so."""

import time
from collections.abc import Sequence

import pytest

from services.common.database import Transaction
from services.common.errors import PermanentError, TransientError
from services.common.events import PaymentSucceeded
from services.common.limits import FLOOD_RUN_RECORDS
from services.common.settings import Settings
from services.engine import guard, parking, worker
from services.engine.outcomes import Batched, Done, Networked, Outcome, Retry
from tests.support.engine import (
    Notebook,
    dead_letters,
    free_port,
    handled,
    is_idle,
    put,
    record_of,
    running_worker,
    sample_of,
)
from tests.support.events import payment_succeeded
from tests.support.eventually import eventually

ORDERS = [f"ord_{number}" for number in range(FLOOD_RUN_RECORDS + 30)]


async def test_the_dead_letters_stop_growing_and_a_cure_handles_the_rest(ladder: Settings) -> None:
    own = ladder.model_copy(update={"metrics_port": free_port()})
    sick = Notebook(failing={order: PermanentError("a deploy broke it") for order in ORDERS})
    await put(own, *(record_of(own, payment_succeeded(order)) for order in ORDERS))
    async with running_worker(own, sick.shape):
        await eventually(lambda: _is_flooded(own))
        letters = await dead_letters(own)
        assert len(letters) == FLOOD_RUN_RECORDS

    async with running_worker(own, Notebook().shape):
        await eventually(lambda: is_idle(own), every_s=0.5)
    assert len(await handled(own.required_database_url())) == len(ORDERS) - FLOOD_RUN_RECORDS
    assert len(await dead_letters(own)) == FLOOD_RUN_RECORDS


async def test_after_the_pause_one_record_a_second_is_tried_until_one_succeeds(
    ladder: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (guard, worker):
        monkeypatch.setattr(module, "FLOOD_PAUSE_S", 3.0)
    own = ladder.model_copy(update={"metrics_port": free_port()})
    notebook = Notebook(failing={order: PermanentError("a deploy broke it") for order in ORDERS})
    alone_at: list[float] = []
    tried = guard.FloodGuard.tried

    def note(self: guard.FloodGuard) -> None:
        alone_at.append(time.monotonic())
        tried(self)

    monkeypatch.setattr(guard.FloodGuard, "tried", note)

    async def handle(events: Sequence[PaymentSucceeded], transaction: Transaction) -> Sequence[Outcome]:
        return await notebook.handle(events, transaction)

    await put(own, *(record_of(own, payment_succeeded(order)) for order in ORDERS))
    async with running_worker(own, Batched({PaymentSucceeded: handle})):
        await eventually(lambda: _is_flooded(own))

        async def three_more_left() -> bool:
            return len(await dead_letters(own)) >= FLOOD_RUN_RECORDS + 3

        await eventually(three_more_left)
        first, second, third = alone_at[-3:]
        assert second - first >= 0.9
        assert third - second >= 0.9
        notebook.failing.clear()
        await eventually(lambda: is_idle(own), every_s=0.3)
        assert await sample_of(own, "coursepay_worker_paused", reason="flood") == 0
    letters = len(await dead_letters(own))
    assert FLOOD_RUN_RECORDS + 3 <= letters < len(ORDERS)
    assert len(await handled(own.required_database_url())) == len(ORDERS) - letters


async def test_more_held_records_than_places_do_not_keep_a_good_one_from_ending_it(
    ladder: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (guard, parking, worker):
        monkeypatch.setattr(module, "FLOOD_PAUSE_S", 3.0)
    own = ladder.model_copy(update={"metrics_port": free_port()})
    good: list[str] = []

    async def handle(event: PaymentSucceeded) -> Outcome:
        if event.order_id in ORDERS:
            return Retry(TransientError("what this course needs is broken"))
        good.append(event.order_id)
        return Done()

    await put(own, *(record_of(own, payment_succeeded(order)) for order in ORDERS))
    async with running_worker(own, Networked({PaymentSucceeded: handle})):
        await eventually(lambda: _is_paused(own), within_s=60)
        await put(own, record_of(own, payment_succeeded("ord_good")))
        await eventually(lambda: _is(good == ["ord_good"]), within_s=60)


async def _is_flooded(settings: Settings) -> bool:
    return await _is_paused(settings) and len(await dead_letters(settings)) >= FLOOD_RUN_RECORDS


async def _is_paused(settings: Settings) -> bool:
    return await sample_of(settings, "coursepay_worker_paused", reason="flood") == 1


async def _is(so: bool) -> bool:  # noqa: FBT001
    return so
