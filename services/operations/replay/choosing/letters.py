"""A dead letter: the record as it lies in the dead-letter topic, with what its headers and its event say."""

import hashlib
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime
from functools import cached_property
from typing import Any
from uuid import UUID

from services.common.codec import Codec
from services.common.errors import RecordError
from services.common.events import Event
from services.engine.records import Record

UNKNOWN = "unknown"
# (partition, offset) in a dead-letter topic
Place = tuple[int, int]
_DIGEST_CHARACTERS = 16


@dataclass(frozen=True)
class Letter:
    """`codec` decodes the event when somebody asks for it."""

    record: Record
    codec: Codec

    @property
    def place(self) -> Place:
        return self.record.partition, self.record.offset

    @property
    def kind(self) -> str:
        return self.record.header("error-kind") or UNKNOWN

    @property
    def error_class(self) -> str:
        return self.record.header("error-class") or UNKNOWN

    @property
    def error_message(self) -> str:
        return self.record.header("error-message") or ""

    @property
    def fingerprint(self) -> str:
        return self.record.header("error-fingerprint") or UNKNOWN

    @property
    def replay_count(self) -> int:
        return self.record.number("replay-count") or 0

    @property
    def origin_topic(self) -> str | None:
        return self.record.header("origin-topic")

    @property
    def order_id(self) -> str | None:
        """The key: poison has one too, and it needs no decoding."""
        try:
            return None if self.record.key is None else self.record.key.decode()
        except UnicodeDecodeError:
            return None

    @cached_property
    def digest(self) -> str:
        return digest_of(self.record)

    @cached_property
    def identity(self) -> str:
        return identity_of(self.record)

    @cached_property
    def _decoded(self) -> tuple[Event | None, str | None]:
        try:
            return self.codec.decode(self.record.value, self.record.key), None
        except RecordError as error:
            return None, str(error)

    @property
    def event(self) -> Event | None:
        """None when the bytes are no event of ours; `undecodable` says why."""
        return self._decoded[0]

    @property
    def undecodable(self) -> str | None:
        return self._decoded[1]

    @cached_property
    def fields(self) -> dict[str, Any]:
        """The event's fields as plain JSON values, times as ISO 8601 in UTC; empty when undecodable."""
        return {} if self.event is None else {name: _plain(value) for name, value in asdict(self.event).items()}


def digest_of(record: Record) -> str:
    """Begins a SHA-256 of key and value: tells another record at the same offset of a topic made anew."""
    found = hashlib.sha256()
    for part in (record.key, record.value):
        found.update(b"\0" if part is None else b"\1" + len(part).to_bytes(8) + part)
    return found.hexdigest()[:_DIGEST_CHARACTERS]


def identity_of(record: Record) -> str:
    """The same for every copy and every replay of a record: where it was first. Without our headers: what it holds."""
    topic = record.header("origin-topic")
    partition, offset = record.number("origin-partition"), record.number("origin-offset")
    if topic is None or partition is None or offset is None:
        return digest_of(record)
    return f"{topic}/{partition}/{offset}"


def _plain(value: object) -> object:
    match value:
        case datetime():
            return value.astimezone(UTC).isoformat()
        case date():
            return value.isoformat()
        case UUID():
            return str(value)
        case dict():
            return {name: _plain(inner) for name, inner in value.items()}
        case tuple() | list():
            return [_plain(inner) for inner in value]
        case _:
            return value
