"""The flood guard: when too many records would become dead letters, the cause is not in the records.

Then the worker holds still instead of filling the dead-letter topic, and after a while tries one record at a time
until one succeeds. Records that are wrong in themselves still leave, one a second; those whose retries are used up
are held. Pure: time comes from `clock`.
"""

import time
from collections import deque
from collections.abc import Callable
from enum import Enum

from services.common.limits import FLOOD_PAUSE_S, FLOOD_RATIO, FLOOD_RUN_RECORDS, FLOOD_WINDOW_RECORDS

_TRY_INTERVAL_S = 1.0


class Fate(Enum):
    """What an outcome means for a record."""

    FINISHED = "finished"
    RETRIED = "retried"
    # Retries used up.
    EXHAUSTED = "exhausted"
    # Permanent, poison or crash.
    REFUSED = "refused"


class FloodGuard:
    """Of one worker process."""

    def __init__(self, *, enabled: bool, clock: Callable[[], float] = time.monotonic) -> None:
        self._enabled = enabled
        self._clock = clock
        self._window: deque[bool] = deque(maxlen=FLOOD_WINDOW_RECORDS)
        self._dead_in_window = 0
        self._dead_in_a_row = 0
        self._next_try_at: float | None = None

    @property
    def tripped(self) -> bool:
        return self._next_try_at is not None

    def wait_s(self) -> float:
        """Until the next record may be tried; 0 when nothing is wrong."""
        return 0.0 if self._next_try_at is None else max(0.0, self._next_try_at - self._clock())

    def tried(self) -> None:
        """While tripped: the next try is a second later."""
        if self._next_try_at is not None:
            self._next_try_at = max(self._next_try_at, self._clock() + _TRY_INTERVAL_S)

    def all_finished(self, records: int) -> bool:
        """Counts and admits them at once. False, and nothing is counted, when each has to be looked at."""
        if self.tripped or self._dead_in_window:
            return not self._enabled
        self._window.extend([False] * min(records, FLOOD_WINDOW_RECORDS))
        self._dead_in_a_row = 0
        return True

    def admits(self, fate: Fate) -> bool:
        """Counts one outcome. False: the record stays, to be tried again later."""
        if not self._enabled:
            return True
        was_tripped = self.tripped
        # Tried alone after the pause, not one of the batch that tripped it.
        is_try = was_tripped and self.wait_s() <= _TRY_INTERVAL_S
        self._count(dead=fate in {Fate.EXHAUSTED, Fate.REFUSED})
        if fate is Fate.FINISHED and is_try:
            self._reset()
        elif not was_tripped and self._floods():
            self._next_try_at = self._clock() + FLOOD_PAUSE_S
        if not self.tripped or fate in {Fate.FINISHED, Fate.RETRIED}:
            return True
        return fate is Fate.REFUSED and (is_try or not was_tripped)

    def _count(self, *, dead: bool) -> None:
        if len(self._window) == FLOOD_WINDOW_RECORDS:
            self._dead_in_window -= self._window[0]
        self._window.append(dead)
        self._dead_in_window += dead
        self._dead_in_a_row = self._dead_in_a_row + 1 if dead else 0

    def _floods(self) -> bool:
        full = len(self._window) == FLOOD_WINDOW_RECORDS
        too_many = full and self._dead_in_window > FLOOD_RATIO * FLOOD_WINDOW_RECORDS
        return too_many or self._dead_in_a_row >= FLOOD_RUN_RECORDS

    def _reset(self) -> None:
        self._window.clear()
        self._dead_in_window = self._dead_in_a_row = 0
        self._next_try_at = None
