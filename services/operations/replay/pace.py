"""Never faster than so many records per second, evenly, from the start of a run on."""

import asyncio

_STEP_S = 0.25
_CHUNK_MAX = 200


class Pace:
    """`rate` in records per second."""

    def __init__(self, rate: float) -> None:
        self._rate = rate
        self._due_s: float | None = None

    @property
    def chunk(self) -> int:
        """How many to send at once, so that the rate is even on the scale of a quarter of a second."""
        return max(1, min(_CHUNK_MAX, int(self._rate * _STEP_S)))

    async def wait_for(self, records: int, stop: asyncio.Event) -> None:
        """Returns when `records` may be sent, or `stop` is set. Time lost elsewhere is not caught up with."""
        now_s = asyncio.get_running_loop().time()
        due_s = now_s if self._due_s is None else max(self._due_s, now_s)
        self._due_s = due_s + records / self._rate
        await wait_unless(stop, due_s - now_s)


async def wait_unless(stop: asyncio.Event, seconds: float) -> None:
    """Sleeps, and wakes up early when `stop` is set."""
    if seconds <= 0:
        # Let a signal that has arrived be noticed.
        await asyncio.sleep(0)
        return
    try:
        async with asyncio.timeout(seconds):
            await stop.wait()
    except TimeoutError:
        return
