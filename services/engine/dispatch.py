"""Starts work as tasks: so many at once, never two of one key, in order per key. And who hears of partitions."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Coroutine, Mapping
from typing import Protocol

from services.engine.records import Partition

Work = Callable[[], Awaitable[None]]


class Listener(Protocol):
    """Who the records are for. Called on the event loop, in the order in which things happened."""

    def assigned(self, generations: Mapping[Partition, int]) -> None: ...

    def revoked(self, partitions: Collection[Partition]) -> Coroutine[None, None, Mapping[Partition, int]]:
        """Finishes what is in flight, within REVOKE_BUDGET_S; returns what to commit."""

    def lost(self, partitions: Collection[Partition]) -> None: ...

    def committed(self, offsets: Mapping[Partition, int]) -> None: ...


class Dispatcher:
    """`tasks` gets what dies in them."""

    def __init__(self, tasks: asyncio.TaskGroup, *, at_once: int) -> None:
        self._tasks = tasks
        self._room = asyncio.Semaphore(at_once)
        self._last_of_key: dict[bytes, asyncio.Task[None]] = {}
        self._running: set[asyncio.Task[None]] = set()

    async def start(self, key: bytes | None, work: Work) -> None:
        """Returns when it has a place, not when it is done. Keyless work has no order."""
        await self._room.acquire()
        before = None if key is None else self._last_of_key.get(key)
        task = self._tasks.create_task(self._run(work, before))
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        if key is not None:
            self._last_of_key[key] = task
            task.add_done_callback(lambda done: self._forget(key, done))

    def abandon(self) -> None:
        """Cancels what still runs: it is uncommitted, so it comes again."""
        for task in self._running:
            task.cancel()

    async def _run(self, work: Work, before: asyncio.Task[None] | None) -> None:
        try:
            if before is not None:
                await asyncio.wait((before,))
            await work()
        finally:
            self._room.release()

    def _forget(self, key: bytes, task: asyncio.Task[None]) -> None:
        if self._last_of_key.get(key) is task:
            del self._last_of_key[key]
