"""Only a death counts as one: a worker that is stopped while a dependency is away has done nothing wrong."""

import asyncpg
import pytest

from services.common.errors import DependencyError
from services.common.events import PaymentSucceeded
from services.common.limits import CRASHES_MAX
from services.common.settings import Settings
from services.engine import worker
from services.engine.outcomes import Networked, Outcome
from tests.support.engine import (
    Notebook,
    dead_letters,
    handled,
    put,
    record_of,
    running_worker,
)
from tests.support.events import payment_succeeded
from tests.support.eventually import eventually


async def test_stops_in_an_outage_leave_no_mark_on_the_record_in_hand(ladder: Settings) -> None:
    tries = 0

    async def handle(_event: PaymentSucceeded) -> Outcome:
        nonlocal tries
        tries += 1
        raise DependencyError("push_service: no connection", dependency="push_service")

    async def tried() -> bool:
        return tries > 0

    await put(ladder, record_of(ladder, payment_succeeded("ord_1")))
    for _ in range(CRASHES_MAX + 1):
        tries = 0
        async with running_worker(ladder, Networked({PaymentSucceeded: handle})):
            await eventually(tried)
        assert await _deaths(ladder) == 0
    assert await dead_letters(ladder) == []


async def test_work_that_outlives_the_drain_is_no_death(ladder: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "DRAIN_BUDGET_S", 0.5)
    notebook = Notebook(slow_s=60)
    await put(ladder, record_of(ladder, payment_succeeded("ord_1")))

    async def begun() -> bool:
        return bool(notebook.batches)

    async with running_worker(ladder, notebook.shape):
        await eventually(begun)
    assert await _deaths(ladder) == 0


async def test_a_lock_on_the_crash_marks_is_an_outage_and_no_death(ladder: Settings) -> None:
    """As a migration holds it."""
    notebook = Notebook()
    url = ladder.required_database_url()
    connection = await asyncpg.connect(url)
    await put(ladder, record_of(ladder, payment_succeeded("ord_1")))
    try:
        async with running_worker(ladder, notebook.shape) as running:
            async with connection.transaction():
                await connection.execute("LOCK TABLE worker_crashes IN ACCESS EXCLUSIVE MODE")
                await eventually(lambda: _somebody_waits(connection))
                await eventually(lambda: _nobody_waits(connection))
            assert not running.done()
            await eventually(lambda: _is_handled(url))
    finally:
        await connection.close()


async def _deaths(settings: Settings) -> int:
    connection = await asyncpg.connect(settings.required_database_url())
    try:
        return int(await connection.fetchval("SELECT count(*) FROM worker_crashes"))
    finally:
        await connection.close()


_WAITING = "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'worker_crashes'::regclass"


async def _somebody_waits(connection: "asyncpg.Connection[asyncpg.Record]") -> bool:
    return bool(await connection.fetchval(_WAITING))


async def _nobody_waits(connection: "asyncpg.Connection[asyncpg.Record]") -> bool:
    """It has given up."""
    return not await connection.fetchval(_WAITING)


async def _is_handled(url: str) -> bool:
    return "ord_1" in await handled(url)
