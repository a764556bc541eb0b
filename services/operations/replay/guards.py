"""What stops a run by itself: `--stop-on`, and the canary that must have worked before the rest follows."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from services.common.errors import CoursepayError
from services.operations.replay.fates import Seen
from services.operations.replay.refusals import BadFilterError

# A share says nothing of the first few.
_SETTLED_MIN = 20
_PATTERN = re.compile(r"(back-in-dlq|dlq-growth|error-rate)=(\d{1,9}(?:\.\d{1,3})?)(%?)\Z")
_MEASURES: Mapping[str, Callable[[Seen], float]] = {
    "back-in-dlq": lambda seen: seen.back_in_dlq,
    "dlq-growth": lambda seen: seen.growth,
    "error-rate": lambda seen: 100 * seen.back_in_dlq / seen.settled if seen.settled >= _SETTLED_MIN else 0.0,
}


class GuardTrippedError(CoursepayError):
    """The message says which guard, and what it saw."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StopOn:
    """Stops a run when `measure` reaches `limit`; an error rate is in percent."""

    measure: str
    limit: float

    def check(self, seen: Seen) -> None:
        """Raises GuardTrippedError."""
        value = _MEASURES[self.measure](seen)
        if value >= self.limit:
            unit = "%" if self.measure == "error-rate" else ""
            raise GuardTrippedError(f"{self.measure} is {value:g}{unit}, the limit is {self.limit:g}{unit}")


def parse_stop_on(text: str) -> StopOn:
    """`back-in-dlq=3`, `dlq-growth=10` or `error-rate=5%`. Raises BadFilterError."""
    match = _PATTERN.match(text.strip())
    if match is None or (match[1] == "error-rate") != (match[3] == "%") or float(match[2]) <= 0:
        raise BadFilterError(
            f"--stop-on {text!r} is none of back-in-dlq=N, dlq-growth=N, error-rate=P%, with a number above 0"
        )
    return StopOn(measure=match[1], limit=float(match[2]))


def check_canary(seen: Seen, *, within_s: float, time_is_up: bool) -> bool:
    """Whether the rest may follow; False: not known yet. Raises GuardTrippedError."""
    if seen.back_in_dlq:
        raise GuardTrippedError(f"{seen.back_in_dlq} records of the canary are back in the dead letters")
    if seen.pending and time_is_up:
        raise GuardTrippedError(f"{seen.pending} records of the canary were not done within {within_s:g} s")
    # Of the unknown ones only time tells, by not bringing them back.
    return not seen.pending and (not seen.unknown or time_is_up)
