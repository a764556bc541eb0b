"""Children that die are started again, up to a limit; all are stopped in order."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from services.processes import supervisor
from services.processes.supervisor import ChildSpec, supervise
from tests.support.eventually import eventually
from tests.support.processes import runs
from tests.support.small_children import Children


@asynccontextmanager
async def supervised(*specs: ChildSpec) -> AsyncIterator[tuple["asyncio.Task[int]", asyncio.Event]]:
    stop = asyncio.Event()
    task = asyncio.create_task(supervise(specs, stop))
    try:
        yield task, stop
    finally:
        stop.set()
        await task


async def test_a_killed_child_is_started_again_and_the_others_are_left_alone(children: Children) -> None:
    async with supervised(children.loyal("first"), children.loyal("second")):
        await eventually(lambda: children.notes("first") and children.notes("second"))
        os.kill(int(children.notes("first")[0]), signal.SIGKILL)
        await eventually(lambda: len(children.notes("first")) == 2)
        assert runs(int(children.notes("first")[1]))
        assert len(children.notes("second")) == 1


async def test_all_are_stopped_in_their_order(children: Children) -> None:
    names = ["gateway", "worker", "notifier"]
    async with supervised(*map(children.loyal, names)) as (task, stop):
        await eventually(lambda: all(children.notes(name) for name in names))
        stop.set()
        assert await task == 0
    assert children.notes("stopped") == names
    assert not any(runs(int(children.notes(name)[0])) for name in names)


async def test_a_child_whose_setting_is_wrong_ends_everything_with_its_code(children: Children) -> None:
    async with supervised(children.loyal("first"), children.failing("wrong", 2)) as (task, _):
        assert await asyncio.wait_for(task, timeout=20) == 2
    assert len(children.notes("wrong")) == 1
    assert not any(runs(int(pid)) for pid in children.notes("first"))


async def test_a_child_that_keeps_dying_ends_everything(children: Children, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "_BACKOFF_FIRST_S", 0.01)
    async with supervised(children.loyal("first"), children.failing("dying", 7)) as (task, _):
        assert await asyncio.wait_for(task, timeout=60) == 1
    assert len(children.notes("dying")) == 1 + supervisor.RESTARTS_MAX
    assert not any(runs(int(pid)) for pid in children.notes("first"))


async def test_stopping_while_a_child_waits_to_be_started_again_starts_nothing(
    children: Children, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "_BACKOFF_FIRST_S", 60.0)
    async with supervised(children.failing("dying", 7)) as (task, stop):
        await eventually(lambda: children.notes("dying"))
        stop.set()
        assert await asyncio.wait_for(task, timeout=20) == 0
    assert len(children.notes("dying")) == 1
