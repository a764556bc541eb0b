"""Holding still while a dependency is away. No attempt is used, nothing is dead-lettered, polling goes on.

A `Gate` stands before every call of one kind. When a call finds the dependency away, the gate closes: the worker
pauses, and one call at a time, with one record, probes until one succeeds.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Literal, TypeVar

import structlog

from services.common.errors import DependencyError
from services.common.limits import KAFKA_LOOK_INTERVAL_S, PROBE_INTERVAL_S

T = TypeVar("T")
Reason = Literal["dependency", "flood", "backpressure"]
log = structlog.get_logger()


class Pauses:
    """Why a worker process holds still. `on_change(reason, standing)` is called when a reason begins or ends."""

    def __init__(self, on_change: Callable[[Reason, bool], None]) -> None:
        self._on_change = on_change
        self._standing: Counter[Reason] = Counter()

    def stands(self, reason: Reason) -> bool:
        return self._standing[reason] > 0

    def begin(self, reason: Reason) -> None:
        self._standing[reason] += 1
        if self._standing[reason] == 1:
            self._on_change(reason, True)

    def end(self, reason: Reason) -> None:
        self._standing[reason] -= 1
        if self._standing[reason] == 0:
            self._on_change(reason, False)


class Gate:
    """A circuit breaker that waits instead of refusing. `reachable`: a cheap look at the dependency before a record is
    tried; None when trying a record is the only way to know.
    """

    def __init__(
        self,
        pauses: Pauses,
        *,
        reachable: Callable[[], Awaitable[bool]] | None = None,
        interval_s: float = PROBE_INTERVAL_S,
    ) -> None:
        self._pauses = pauses
        self._reachable = reachable
        self._interval_s = interval_s
        self._probing = asyncio.Lock()
        self._opened = asyncio.Event()
        self._opened.set()

    async def opened(self) -> None:
        """Returns when the dependency is not known to be away."""
        await self._opened.wait()

    async def run(self, call: Callable[[bool], Awaitable[T]]) -> T:
        """The result of `call(probing)`, called until it raises no DependencyError. When `probing`, it should try one
        record only, and leave the rest to the next call.
        """
        while True:
            if self._opened.is_set():
                try:
                    return await call(False)
                except DependencyError as error:
                    self._close(error)
            async with self._probing:
                if self._opened.is_set():
                    continue
                await self._wait_until_reachable()
                try:
                    result = await call(True)
                except DependencyError as error:
                    log.warning("dependency_still_away", dependency=error.dependency, error=str(error))
                    continue
                self._open()
                return result

    def _close(self, error: DependencyError) -> None:
        if self._opened.is_set():
            self._opened.clear()
            self._pauses.begin("dependency")
            log.warning(
                "worker_paused",
                outcome="paused",
                reason="dependency",
                dependency=error.dependency,
                error_class=error.cause_class,
                error=str(error),
            )

    def _open(self) -> None:
        if not self._opened.is_set():
            self._opened.set()
            self._pauses.end("dependency")
            log.info("worker_resumed", outcome="resumed", reason="dependency")

    async def look_regularly(self, look: Callable[[], Awaitable[None]]) -> None:
        """Until cancelled, for a worker that makes no calls just now: what is away shows all the same."""

        async def call(_probing: bool) -> None:  # noqa: FBT001 - as `run` wants it
            await look()

        while True:
            await self.run(call)
            await asyncio.sleep(KAFKA_LOOK_INTERVAL_S)

    async def _wait_until_reachable(self) -> None:
        while True:
            await asyncio.sleep(self._interval_s)
            if self._reachable is None or await self._reachable():
                return
