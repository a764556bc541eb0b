"""One loop of the operations service: a round at a time, until stopped.

A round that fails is counted and logged, and the next one tries again: nothing here is urgent enough to end the process
for a server that is away.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress

import structlog
from prometheus_client import Counter

from services.common.errors import RecordError

log = structlog.get_logger()


class Loop:
    """`round_`: one round, which raises RecordError kinds; `within_s`: it is given up after that; `errors` counts."""

    def __init__(
        self, name: str, round_: Callable[[], Awaitable[None]], *, every_s: float, within_s: float, errors: Counter
    ) -> None:
        self.name = name
        self._round = round_
        self._every_s = every_s
        self._within_s = within_s
        self._errors = errors
        self._ticked_at = time.monotonic()
        self.has_succeeded = False

    @property
    def is_live(self) -> bool:
        """Whether it ticks: no round takes longer than it may."""
        return time.monotonic() - self._ticked_at < 2 * (self._within_s + self._every_s)

    async def run(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            self._ticked_at = time.monotonic()
            try:
                async with asyncio.timeout(self._within_s):
                    await self._round()
                self.has_succeeded = True
            except (RecordError, TimeoutError) as error:
                self._errors.inc()
                cause = error.cause_class if isinstance(error, RecordError) else type(error).__name__
                log.warning("round_failed", reason=self.name, error_class=cause, error=str(error), outcome="failed")
            with suppress(TimeoutError):
                async with asyncio.timeout(self._every_s):
                    await stop.wait()
