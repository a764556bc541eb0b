"""Every dead-letter topic into the table dead_letters, so that "how many still matter" is a number that a fix makes
smaller. The records stay where they are; a row points to one.

Where to go on is the last offset in the table: no group, and nothing to lose. So every record gets a row: one that
cannot be read or stored, whatever a foreign writer put there, gets a bare row under the class UNINDEXABLE, and holds up
no other.

A topic that was deleted and made anew has letters at the same offsets as the rows have. PostgreSQL remembers what Kafka
calls the topic that the rows are of; nothing is added of another one until the old rows were put aside.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

import structlog

from services.common.codec import Codec
from services.common.database import Database
from services.common.errors import ErrorKind, RecordError
from services.common.events import Event, PaymentAdjusted, PurchaseAdjusted
from services.common.settings import Settings
from services.common.topics import TYPE_TOPICS, WORKERS, Topics
from services.common.validation import is_id
from services.engine.failures import MESSAGE_BYTES_MAX, cut
from services.engine.records import Record
from services.operations.dead_letters import (
    DeadLetter,
    add_dead_letters,
    last_offsets,
    resolve_done,
    rows_are_at_fault,
    stamp_topics,
    topics_made_anew,
)
from services.operations.limits import INDEX_RECORDS_MAX
from services.operations.topic_reader import read_new, read_topic_ids

_KINDS = frozenset(ErrorKind)
_UNKNOWN = "unknown"
UNINDEXABLE = "Unindexable"
_INT_MAX, _BIGINT_MAX = 2**31 - 1, 2**63 - 1
# As much as the engine itself writes. More of a foreign header would not fit into PostgreSQL's indexes.
_CLASS_BYTES_MAX, _FINGERPRINT_BYTES_MAX, _CARRIED_BYTES_MAX, _TOPIC_BYTES_MAX = 100, 64, 128, 249
_DEAD_MS_MAX = 10**14
log = structlog.get_logger()


class DeadLetterIndex:
    """`made_anew`: topics that are not those that were indexed, as of the last update. Their new letters are missing
    from the index until somebody has put the old rows aside (docs/runbook.md).
    """

    def __init__(self, settings: Settings, database: Database, codec: Codec) -> None:
        self._settings = settings
        self._database = database
        self._codec = codec
        self.made_anew: frozenset[str] = frozenset()
        topics = Topics.of(settings)
        self._worker_of = {topics.dead_letters(worker): worker for worker in WORKERS}
        self._type_of = {topics.main_of_type(name): name for name in TYPE_TOPICS}

    async def update(self) -> None:
        """Adds what is new and resolves what is done. Raises RecordError kinds; what was added before stays."""
        await self._stamp(await read_topic_ids(self._settings, list(self._worker_of)))
        while await self._add_some():
            pass
        if count := await resolve_done(self._database):
            log.info("dead_letters_resolved", count=count)

    async def _add_some(self) -> bool:
        """Whether there was any."""
        topics = [topic for topic in self._worker_of if topic not in self.made_anew]
        after = await last_offsets(self._database, topics)
        records, cut_off = await read_new(self._settings, topics, after, records_max=INDEX_RECORDS_MAX)
        if cut_off:
            await self._stamp(dict.fromkeys(cut_off))
            records = [record for record in records if record.topic not in cut_off]
        for start in range(0, len(records), INDEX_RECORDS_MAX):
            letters = [self._readable(record) for record in records[start : start + INDEX_RECORDS_MAX]]
            try:
                await self._add(letters)
            except RecordError as error:
                if not rows_are_at_fault(error):
                    raise
                for letter in letters:
                    await self._add_alone(letter)
            log.info("dead_letters_indexed", count=len(letters))
        return bool(records)

    async def _stamp(self, ids: Mapping[str, str | None]) -> None:
        await stamp_topics(self._database, ids)
        async with self._database.connection() as connection:
            made_anew = await topics_made_anew(connection) & self._worker_of.keys()
        for topic in made_anew - self.made_anew:
            log.warning("dead_letter_topic_made_anew", topic=topic)
        self.made_anew = made_anew

    async def _add_alone(self, letter: DeadLetter) -> None:
        try:
            await self._add([letter])
        except RecordError as error:
            if not rows_are_at_fault(error):
                raise
            place = (letter.topic, letter.kafka_partition, letter.kafka_offset)
            await self._add([_bare(letter.worker, place, letter.dead_at, error)])

    async def _add(self, letters: Sequence[DeadLetter]) -> None:
        async with self._database.transaction() as transaction:
            await add_dead_letters(transaction, letters)

    def _readable(self, record: Record) -> DeadLetter:
        try:
            return self._letter_from(record)
        except Exception as error:  # noqa: BLE001 - whatever a foreign record makes fail, the others are indexed
            place = (record.topic, record.partition, record.offset)
            return _bare(self._worker_of[record.topic], place, datetime.now(UTC), error)

    def _letter_from(self, record: Record) -> DeadLetter:
        event = self._event_in(record)
        kind = record.header("error-kind")
        origin_topic = _text(record, "origin-topic", _TOPIC_BYTES_MAX)
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
            error_class=_text(record, "error-class", _CLASS_BYTES_MAX) or _UNKNOWN,
            error_message=_text(record, "error-message", MESSAGE_BYTES_MAX),
            fingerprint=_text(record, "error-fingerprint", _FINGERPRINT_BYTES_MAX) or _UNKNOWN,
            retry_attempt=_number(record, "retry-attempt", _INT_MAX) or 0,
            replay_id=_text(record, "replay-id", _CARRIED_BYTES_MAX),
            replay_count=_number(record, "replay-count", _INT_MAX) or 0,
            traceparent=_text(record, "traceparent", _CARRIED_BYTES_MAX),
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


def _bare(worker: str, place: tuple[str, int, int], dead_at: datetime, error: Exception) -> DeadLetter:
    """Warns of it as well."""
    topic, partition, offset = place
    cause = error.cause_class if isinstance(error, RecordError) else type(error).__name__
    log.warning("dead_letter_unindexable", topic=topic, partition=partition, offset=offset, error_class=cause)
    return DeadLetter(
        worker=worker,
        topic=topic,
        kafka_partition=partition,
        kafka_offset=offset,
        error_kind=_UNKNOWN,
        error_class=UNINDEXABLE,
        fingerprint=_UNKNOWN,
        dead_at=dead_at,
    )


def _dead_at(record: Record) -> datetime:
    failed_ms = _number(record, "last-failed-ms", _DEAD_MS_MAX) or record.timestamp_ms
    return datetime.fromtimestamp(min(max(failed_ms, 0), _DEAD_MS_MAX) / 1000, UTC)


def _text(record: Record, name: str, bytes_max: int) -> str | None:
    """As PostgreSQL can hold it."""
    text = record.header(name)
    return None if text is None else cut(text.replace("\0", ""), bytes_max).decode()


def _number(record: Record, name: str, most: int) -> int | None:
    """A header in decimal digits, up to `most`; None for anything else."""
    text = record.header(name)
    if text is None or not text.isascii() or not text.isdigit() or len(text) > 19:
        return None
    return number if (number := int(text)) <= most else None
