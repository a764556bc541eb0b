"""A record as it lies in Kafka, and one as it is sent there. No client, no business."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from operator import methodcaller
from typing import Protocol

from services.common.events import Event

Header = tuple[str, bytes | None]
# (topic, partition number)
Partition = tuple[str, int]
_headers_of = methodcaller("headers")


@dataclass(frozen=True, slots=True)
class Record:
    """As it was read. `timestamp_ms` is the producer's or the broker's, as the topic is set. `headers` is empty when
    they could not be read: then `has_bad_headers`.
    """

    topic: str
    partition: int
    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None
    headers: tuple[Header, ...]
    has_bad_headers: bool = False

    @property
    def place(self) -> Partition:
        return self.topic, self.partition

    @property
    def size_bytes(self) -> int:
        return len(self.key or b"") + len(self.value or b"") + sum(len(n) + len(v or b"") for n, v in self.headers)

    def header(self, name: str) -> str | None:
        """The first header of this name as text; None when it is absent or no UTF-8."""
        for found, value in self.headers:
            if found == name:
                try:
                    return None if value is None else value.decode()
                except UnicodeDecodeError:
                    return None
        return None

    def number(self, name: str) -> int | None:
        """A header that holds a whole number in decimal digits, as ours do; None for anything else."""
        text = self.header(name)
        return int(text) if text is not None and text.isascii() and text.isdigit() and len(text) <= 18 else None


@dataclass(slots=True, kw_only=True, eq=False)
class Delivery:
    """A record on its way through a worker. `generation` is that of its partition when it was polled.

    `retries`: used so far. `tier` and `due_ms` of a record that waited on a retry topic. `expected`: what its origin
    topic holds, None when it does not say where it came from. `event`: once it has been decoded.
    """

    record: Record
    generation: int
    expected: type[Event] | None
    retries: int = 0
    tier: str | None = None
    due_ms: int | None = None
    event: Event | None = None
    place: Partition = field(init=False)

    def __post_init__(self) -> None:
        # Asked for at every step.
        self.place = self.record.place

    @property
    def replayed(self) -> bool:
        return self.record.header("replay-id") is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class OutgoingRecord:
    """To be sent. The key decides the partition, as Java's clients would."""

    topic: str
    key: bytes | None
    value: bytes | None
    headers: tuple[Header, ...] = ()


class PolledMessage(Protocol):
    """What the client library polls; named here so that only consumer.py needs the library."""

    def topic(self) -> str | None: ...
    def partition(self) -> int | None: ...
    def offset(self) -> int | None: ...
    def timestamp(self) -> tuple[int, int]: ...
    def key(self) -> bytes | None: ...
    def value(self) -> bytes | None: ...
    def headers(self) -> dict[str, str | bytes | None] | list[tuple[str, str | bytes | None]] | None: ...


def record_of(message: PolledMessage) -> Record:
    """Once per message: headers that could not be read crash the process when they are asked for again."""
    headers = _headers(message)
    return Record(
        message.topic() or "",
        message.partition() or 0,
        message.offset() or 0,
        message.timestamp()[1],
        message.key(),
        message.value(),
        headers or (),
        headers is None,
    )


def _headers(message: PolledMessage) -> tuple[Header, ...] | None:
    """None when a name is no UTF-8. The client library then returns half a list and an error at once. A call in Python
    may not notice it before the half list is used, which crashes; one made by C code raises a SystemError.
    """
    try:
        found = _headers_of(message) or ()
    except (SystemError, UnicodeDecodeError):
        return None
    pairs: Iterable[tuple[str, str | bytes | None]] = found.items() if isinstance(found, dict) else found
    return tuple((name, value.encode() if isinstance(value, str) else value) for name, value in pairs)
