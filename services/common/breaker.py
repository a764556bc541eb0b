"""A circuit breaker: after enough failures in a row, stop asking for a while; then let one caller probe."""

import time
from collections.abc import Callable
from enum import IntEnum

from prometheus_client import Gauge


class CircuitState(IntEnum):
    """The value of `coursepay_circuit_state`."""

    CLOSED = 0
    HALF_OPEN = 1
    OPEN = 2


class Breaker:
    """One per dependency and process; not thread-safe. `gauge` is coursepay_circuit_state with its label applied."""

    def __init__(
        self,
        gauge: Gauge,
        *,
        failures_max: int = 5,
        open_s: float = 5.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._gauge = gauge
        self._failures_max = failures_max
        self._open_s = open_s
        self._clock = clock
        self._failures = 0
        self._opened_at = 0.0
        self._move_to(CircuitState.CLOSED)

    @property
    def state(self) -> CircuitState:
        return self._state

    def allows_call(self) -> bool:
        """False: do not call. True while half open for one caller only, who must report `succeeded` or `failed`."""
        if self._state is CircuitState.OPEN and self._clock() - self._opened_at >= self._open_s:
            self._move_to(CircuitState.HALF_OPEN)
            return True
        return self._state is CircuitState.CLOSED

    def succeeded(self) -> None:
        self._failures = 0
        self._move_to(CircuitState.CLOSED)

    def failed(self) -> None:
        self._failures += 1
        if self._state is CircuitState.HALF_OPEN or self._failures >= self._failures_max:
            self._opened_at = self._clock()
            self._move_to(CircuitState.OPEN)

    def _move_to(self, state: CircuitState) -> None:
        self._state = state
        self._gauge.set(state)
