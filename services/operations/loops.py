"""One loop of the operations service: a round at a time, until stopped.

A round that fails is counted and logged, and the next one tries again: nothing here is urgent enough to end the process
for a server that is away. When each loop last had a round that worked is a metric: figures that a loop would renew keep
their last value, and an alert on them sees nothing.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress

import structlog

from services.common.errors import RecordError
from services.common.metrics import Metrics
from services.operations.limits import TRY_AGAIN_S

log = structlog.get_logger()


class Loop:
    """`name`: one of the catalogue's LOOPS; `round_`: raises RecordError kinds; `within_s`: a round is given up after
    that.
    """

    def __init__(
        self, name: str, round_: Callable[[], Awaitable[None]], *, every_s: float, within_s: float, metrics: Metrics
    ) -> None:
        self.name = name
        self._round = round_
        self._every_s = every_s
        self._within_s = within_s
        self._errors = metrics.sampler_errors
        self._last_success = metrics.round_last_success.labels(name)
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
                self._last_success.set_to_current_time()
                self.has_succeeded = True
                pause_s = self._every_s
            except (RecordError, TimeoutError) as error:
                self._errors.inc()
                pause_s = min(self._every_s, TRY_AGAIN_S)
                cause = error.cause_class if isinstance(error, RecordError) else type(error).__name__
                log.warning("round_failed", reason=self.name, error_class=cause, error=str(error), outcome="failed")
            with suppress(TimeoutError):
                async with asyncio.timeout(pause_s):
                    await stop.wait()
