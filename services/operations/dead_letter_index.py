"""Every dead-letter topic into the table dead_letters, so that "how many still matter" is a number that a fix makes
smaller. The records stay where they are; a row points to one.

Where to go on is the last offset in the table: no group, and nothing to lose.
"""

from datetime import UTC, datetime

import structlog

from services.common.codec import Codec
from services.common.database import Database
from services.common.errors import ErrorKind, RecordError
from services.common.events import Event, PaymentAdjusted, PurchaseAdjusted
from services.common.settings import Settings
from services.common.topics import TYPE_TOPICS, WORKERS, Topics
from services.common.validation import is_id
from services.engine.records import Record
from services.operations.dead_letters import DeadLetter, add_dead_letters, last_offsets, resolve_done
from services.operations.limits import INDEX_MESSAGE_CHARACTERS_MAX, INDEX_RECORDS_MAX
from services.operations.topic_reader import read_new

_KINDS = frozenset(ErrorKind)
_UNKNOWN = "unknown"
_INT_MAX, _BIGINT_MAX = 2**31 - 1, 2**63 - 1
log = structlog.get_logger()


class DeadLetterIndex:
    def __init__(self, settings: Settings, database: Database, codec: Codec) -> None:
        self._settings = settings
        self._database = database
        self._codec = codec
        topics = Topics.of(settings)
        self._worker_of = {topics.dead_letters(worker): worker for worker in WORKERS}
        self._type_of = {topics.main_of_type(name): name for name in TYPE_TOPICS}

    async def update(self) -> None:
        """Adds what is new and resolves what is done. Raises RecordError kinds; what was added before stays."""
        while await self._add_some():
            pass
        if count := await resolve_done(self._database):
            log.info("dead_letters_resolved", count=count)

    async def _add_some(self) -> bool:
        """Whether there was any."""
        after = await last_offsets(self._database, list(self._worker_of))
        records = await read_new(self._settings, list(self._worker_of), after, records_max=INDEX_RECORDS_MAX)
        for start in range(0, len(records), INDEX_RECORDS_MAX):
            letters = [self._letter_from(record) for record in records[start : start + INDEX_RECORDS_MAX]]
            async with self._database.transaction() as transaction:
                await add_dead_letters(transaction, letters)
            log.info("dead_letters_indexed", count=len(letters))
        return bool(records)

    def _letter_from(self, record: Record) -> DeadLetter:
        event = self._event_in(record)
        kind = record.header("error-kind")
        origin_topic = _text(record, "origin-topic")
        key = record.key.decode(errors="replace") if record.key is not None else ""
        return DeadLetter(
            worker=self._worker_of[record.topic],
            topic=record.topic,
            kafka_partition=record.partition,
            kafka_offset=record.offset,
            origin_topic=origin_topic,
            origin_partition=_number(record, "origin-partition", _INT_MAX),
            origin_offset=_number(record, "origin-offset", _BIGINT_MAX),
            order_id=event.order_id if event is not None else (key if is_id(key) else None),
            event_type=type(event).__name__ if event is not None else self._type_of.get(origin_topic or ""),
            event_id=event.event_id if event is not None else None,
            event_sequence=event.sequence if isinstance(event, PaymentAdjusted | PurchaseAdjusted) else None,
            error_kind=kind if kind in _KINDS else _UNKNOWN,
            error_class=_text(record, "error-class") or _UNKNOWN,
            error_message=_text(record, "error-message"),
            fingerprint=_text(record, "error-fingerprint") or _UNKNOWN,
            retry_attempt=_number(record, "retry-attempt", _INT_MAX) or 0,
            replay_id=_text(record, "replay-id"),
            replay_count=_number(record, "replay-count", _INT_MAX) or 0,
            traceparent=_text(record, "traceparent"),
            key_bytes=len(record.key or b""),
            value_bytes=len(record.value or b""),
            headers_bytes=sum(len(name.encode()) + len(value or b"") for name, value in record.headers),
            dead_at=_dead_at(record),
        )

    def _event_in(self, record: Record) -> Event | None:
        try:
            return self._codec.decode(record.value, record.key)
        except RecordError:
            return None


def _dead_at(record: Record) -> datetime:
    failed_ms = _number(record, "last-failed-ms", 10**14) or record.timestamp_ms
    return datetime.fromtimestamp(failed_ms / 1000, UTC)


def _text(record: Record, name: str) -> str | None:
    """As PostgreSQL can hold it."""
    text = record.header(name)
    return None if text is None else text.replace("\0", "")[:INDEX_MESSAGE_CHARACTERS_MAX]


def _number(record: Record, name: str, most: int) -> int | None:
    """A header in decimal digits, up to `most`; None for anything else."""
    text = record.header(name)
    if text is None or not text.isascii() or not text.isdigit() or len(text) > 19:
        return None
    return number if (number := int(text)) <= most else None
