"""Which dead letters: a frozen selection, resolved once from what a person typed, so that a plan can carry it."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from services.common.errors import ErrorKind
from services.operations.replay.choosing.expressions import compile_where
from services.operations.replay.choosing.letters import UNKNOWN, Letter
from services.operations.replay.refusals import BadFilterError

STATUSES = ("unresolved", "replayed", "resolved", "parked", "discarded")
KINDS = frozenset({*ErrorKind, UNKNOWN})
# What an expression may name beside the event's fields.
NAMES = frozenset(
    {"headers", "event", "event_type", "key", "order_id", "partition", "offset", "timestamp_ms", "kind", "error_class"}
    | {"error_message", "fingerprint", "replay_count", "origin_topic"}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """None: whatever. Times are the moments of dying, in milliseconds; `to_offset` and `to_time_ms` are exclusive.

    `statuses`: of the table dead_letters; those already decided about, or replayed, are left alone unless named.
    """

    partition: int | None = None
    from_offset: int | None = None
    to_offset: int | None = None
    from_time_ms: int | None = None
    to_time_ms: int | None = None
    order_id: str | None = None
    error_class: str | None = None
    kind: str | None = None
    fingerprint: str | None = None
    replay_count_lt: int | None = None
    where: str | None = None
    limit: int | None = None
    statuses: tuple[str, ...] = ("unresolved",)

    def to_json(self) -> dict[str, Any]:
        """Only what was chosen."""
        given = {name: value for name, value in asdict(self).items() if value is not None}
        return {**given, "statuses": list(self.statuses)}

    @classmethod
    def from_json(cls, given: Mapping[str, Any]) -> "Filter":
        """Raises BadFilterError for a name that is none of ours."""
        known = {field.name for field in fields(cls)}
        if strange := sorted(set(given) - known):
            raise BadFilterError(f"a filter has no {strange[0]!r}")
        return cls(**{**given, "statuses": tuple(given.get("statuses", ("unresolved",)))})

    @property
    def chooses(self) -> bool:
        """False for one that takes every letter."""
        return self != Filter(limit=self.limit, statuses=self.statuses)


def check_filter(chosen: Filter) -> None:
    """Raises BadFilterError when a value can match nothing, so that a slip is no empty plan."""
    if chosen.kind is not None and chosen.kind not in KINDS:
        raise BadFilterError(f"--kind is one of {', '.join(sorted(KINDS))}")
    if strange := sorted(set(chosen.statuses) - set(STATUSES)):
        raise BadFilterError(f"--status {strange[0]!r} is none of {', '.join(STATUSES)}")
    for low, high, what in (
        (chosen.from_offset, chosen.to_offset, "offset"),
        (chosen.from_time_ms, chosen.to_time_ms, "time"),
    ):
        if low is not None and high is not None and low >= high:
            raise BadFilterError(f"--from-{what} is not before --to-{what}")
    if chosen.where is not None:
        compile_where(chosen.where, NAMES)


def matcher(chosen: Filter) -> Callable[[Letter], bool]:
    """Whether a letter is one of them; not limit and statuses, which need more than the letter. Raises
    BadFilterError.
    """
    where = None if chosen.where is None else compile_where(chosen.where, NAMES)

    def matches(letter: Letter) -> bool:
        return (
            _in_range(chosen, letter)
            and (chosen.order_id is None or letter.order_id == chosen.order_id)
            and (chosen.error_class is None or letter.error_class == chosen.error_class)
            and (chosen.kind is None or letter.kind == chosen.kind)
            and (chosen.fingerprint is None or letter.fingerprint == chosen.fingerprint)
            and (chosen.replay_count_lt is None or letter.replay_count < chosen.replay_count_lt)
            and (where is None or where(names_of(letter)))
        )

    return matches


def names_of(letter: Letter) -> dict[str, Any]:
    """What an expression sees."""
    record = letter.record
    return {
        "headers": {name: _text(value) for name, value in record.headers},
        "event": letter.fields,
        "event_type": None if letter.event is None else type(letter.event).__name__,
        "key": letter.order_id,
        "order_id": letter.order_id,
        "partition": record.partition,
        "offset": record.offset,
        "timestamp_ms": record.timestamp_ms,
        "kind": letter.kind,
        "error_class": letter.error_class,
        "error_message": letter.error_message,
        "fingerprint": letter.fingerprint,
        "replay_count": letter.replay_count,
        "origin_topic": letter.origin_topic,
    }


def _in_range(chosen: Filter, letter: Letter) -> bool:
    partition, offset = letter.place
    at_ms = letter.record.timestamp_ms
    return (
        (chosen.partition is None or partition == chosen.partition)
        and (chosen.from_offset is None or offset >= chosen.from_offset)
        and (chosen.to_offset is None or offset < chosen.to_offset)
        and (chosen.from_time_ms is None or at_ms >= chosen.from_time_ms)
        and (chosen.to_time_ms is None or at_ms < chosen.to_time_ms)
    )


def _text(value: bytes | None) -> str | None:
    return None if value is None else value.decode(errors="replace")
