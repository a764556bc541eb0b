"""Whatever ends a comparison early, the next one begins soon, and never two at the same time."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from services.common.errors import DependencyError
from services.gateway_api.dependencies import Dependencies
from services.gateway_api.payments import sweeps
from services.gateway_api.payments.recording import open_recorder
from services.gateway_api.payments.sweeps import Found, run_sweeps, sweep_due
from services.gateway_api.providers import VerifiedPayment
from tests.support.eventually import eventually
from tests.support.gateway import Gateway, owner_connection

LEASE_S = 4.0


@dataclass
class Slow:
    """A provider whose list comes when it may, and of whose lists one is read at a time."""

    name: str = "razorpay"
    may_answer: asyncio.Event = field(default_factory=asyncio.Event)
    fails: bool = False
    reading: int = 0

    async def list_facts(self, _since: datetime, _until: datetime) -> AsyncIterator[VerifiedPayment]:
        self.reading += 1
        assert self.reading == 1
        try:
            if self.fails:
                raise DependencyError("razorpay: answered 503", dependency="provider")
            await self.may_answer.wait()
        finally:
            self.reading -= 1
        for nothing in list[VerifiedPayment]():
            yield nothing


@pytest.fixture
def slow() -> Slow:
    return Slow()


@pytest.fixture
def dependencies(gateway: Gateway, slow: Slow) -> Dependencies:
    return replace(gateway.dependencies, providers={"razorpay": slow})  # type: ignore[dict-item]


@pytest.fixture
def short_lease(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweeps, "SWEEP_LEASE_S", LEASE_S)
    monkeypatch.setattr(sweeps, "_LEASE", timedelta(seconds=LEASE_S))
    monkeypatch.setattr(sweeps, "_WORK_S", LEASE_S * 0.9)


async def row(database_url: str) -> dict[str, Any]:
    async with owner_connection(database_url) as connection:
        found = await connection.fetchrow("SELECT *, clock_timestamp() AS now FROM provider_sweeps")
    return dict(found) if found is not None else {}


async def begun(slow: Slow, sweep: "asyncio.Task[Any]") -> None:
    async def is_reading() -> bool:
        assert not sweep.done()
        return slow.reading == 1

    await eventually(is_reading)


def begin(dependencies: Dependencies) -> "asyncio.Task[Found | None]":
    return asyncio.create_task(sweep_due(dependencies, open_recorder(dependencies)))


async def test_a_gateway_that_stops_leaves_it_to_the_others_at_once(
    dependencies: Dependencies, slow: Slow, database_url: str
) -> None:
    drained = asyncio.Event()
    sweep = asyncio.create_task(run_sweeps(dependencies, drained))
    await begun(slow, sweep)
    held = await row(database_url)
    # Should it be killed, the others wait no longer than this.
    assert held["lease_until"] - held["now"] <= timedelta(minutes=1)
    drained.set()
    async with asyncio.timeout(20):
        await sweep
    slow.may_answer.set()
    assert await begin(dependencies) == Found()


async def test_one_that_fails_gives_it_back_and_is_tried_again_soon(
    dependencies: Dependencies, slow: Slow, database_url: str
) -> None:
    slow.fails = True
    with pytest.raises(DependencyError):
        await begin(dependencies)
    failed = await row(database_url)
    assert (failed["lease_token"], failed["lease_until"], failed["swept_until"]) == (None, None, None)
    # Not at once: who fails now has nothing to list a moment later either.
    assert timedelta(0) < failed["due_at"] - failed["now"] <= timedelta(minutes=1)
    assert await begin(dependencies) is None


@pytest.mark.usefixtures("short_lease")
async def test_one_that_works_on_keeps_it(dependencies: Dependencies, slow: Slow, database_url: str) -> None:
    sweep = begin(dependencies)
    await begun(slow, sweep)
    first = (await row(database_url))["lease_until"]

    async def is_over() -> bool:
        assert await begin(dependencies) is None
        return bool((await row(database_url))["now"] > first)

    await eventually(is_over, within_s=30)
    slow.may_answer.set()
    assert await sweep == Found()
    assert (await row(database_url))["swept_until"] is not None


@pytest.mark.usefixtures("short_lease")
async def test_one_that_lost_it_ends_and_leaves_the_next_alone(
    dependencies: Dependencies, slow: Slow, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Not because its time is over.
    monkeypatch.setattr(sweeps, "_WORK_S", 3600.0)
    sweep = begin(dependencies)
    await begun(slow, sweep)
    async with owner_connection(database_url) as connection:
        await connection.execute("UPDATE provider_sweeps SET lease_token = gen_random_uuid()")
    await asyncio.wait((sweep,), timeout=30)
    assert isinstance(sweep.exception(), TimeoutError)
    assert slow.reading == 0
    assert (await row(database_url))["lease_token"] is not None


@pytest.mark.usefixtures("short_lease")
async def test_one_that_cannot_renew_it_ends_by_itself(
    dependencies: Dependencies, slow: Slow, database_url: str
) -> None:
    sweep = begin(dependencies)
    await begun(slow, sweep)
    async with owner_connection(database_url) as connection, connection.transaction():
        await connection.execute("SELECT FROM provider_sweeps FOR UPDATE")

        async def has_ended() -> bool:
            return slow.reading == 0

        await eventually(has_ended, within_s=30)
    with pytest.raises(TimeoutError):
        await sweep
