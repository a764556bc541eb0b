"""What handling one record came to: a closed union. A handler returns one outcome per event, in the same order."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from services.common.errors import RecordError
from services.common.events import Event


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """Handled, now or before. `emit`: the events to send once the transaction has committed; emitted again when the
    record comes again. `since`: when the payment was made, for coursepay_end_to_end_seconds.
    """

    emit: tuple[Event, ...] = ()
    result: Literal["ok", "duplicate", "pending"] = "ok"
    since: datetime | None = None


@dataclass(frozen=True, slots=True)
class Retry:
    """Not now: to the next tier, after the last one to the dead letters."""

    error: RecordError


@dataclass(frozen=True, slots=True)
class Dead:
    """Never: to the dead letters."""

    error: RecordError


Outcome = Done | Retry | Dead
