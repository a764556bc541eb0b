"""`await producer.send(record)` returns when every in-sync replica has the record.

librdkafka's plain Producer with a poll thread of its own: confluent-kafka's AIOProducer cannot send headers. A group
of records wakes the event loop once, when the last of them was answered, because a wake-up per record is what makes
asyncio clients slow.
"""

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from functools import partial

import structlog
from confluent_kafka import KafkaError, KafkaException
from confluent_kafka import Producer as Client

from services.common.errors import CoursepayError, DependencyError, PermanentError, RecordError
from services.common.kafka_config import producer_config
from services.common.limits import KAFKA_ANSWER_S, POLL_INTERVAL_S, PRODUCER_CLOSE_S
from services.common.settings import Settings
from services.engine.records import OutgoingRecord

__all__ = ["KAFKA", "ErrorLog", "KafkaClientError", "OutgoingRecord", "Producer", "open_producer"]

KAFKA = "kafka"
_ROOM_POLL_S = 0.005
_SAME_ERROR_S = 10.0
_NEVER_ACCEPTED = frozenset({KafkaError.MSG_SIZE_TOO_LARGE, KafkaError.INVALID_RECORD, KafkaError.INVALID_MSG_SIZE})
log = structlog.get_logger()


class KafkaClientError(CoursepayError):
    """librdkafka says that this client can never work again. The process has to end, and start anew."""


class ErrorLog:
    """An `error_cb`: librdkafka repeats an error at each attempt to connect, a log needs it now and then."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._quiet_until: dict[str, float] = {}

    def __call__(self, error: KafkaError) -> None:
        now = time.monotonic()
        if error.fatal() or now >= self._quiet_until.get(error.name(), 0.0):
            self._quiet_until[error.name()] = now + _SAME_ERROR_S
            # A full disk or a closed pipe: what it raised would come out of the poll that called this.
            with suppress(OSError, ValueError):
                log.warning(self._name, error=error.str(), error_class=error.name())


class Producer:
    """Construct with `open_producer()`. Used by any number of tasks of one event loop."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._closing = threading.Event()
        self._flights: set[_Flight] = set()
        self._broken: KafkaClientError | None = None
        self._thread = threading.Thread(target=self._poll, name="producer", daemon=True)
        self._thread.start()

    async def send(self, record: OutgoingRecord) -> None:
        """Raises DependencyError when Kafka did not acknowledge it within DELIVERY_TIMEOUT_S (it may be there all the
        same), PermanentError when it is too large, KafkaClientError when this producer is beyond repair.
        """
        await self.send_all((record,))

    async def send_all(self, records: Sequence[OutgoingRecord]) -> None:
        """Returns when all are acknowledged; raises as `send` does, the first error after all were answered."""
        for error in await self.deliver(records):
            if error is not None:
                raise error

    async def deliver(self, records: Sequence[OutgoingRecord]) -> list[RecordError | None]:
        """What became of each record, None for acknowledged. Records of one key keep their order."""
        if not records:
            return []
        flight = _Flight(asyncio.get_running_loop(), len(records))
        self._flights.add(flight)
        try:
            # Asked after the flight has been added, and set before those are failed: one of the two sees the other.
            if self._broken is not None:
                raise self._broken
            for index, record in enumerate(records):
                answered = partial(flight.answered, index)
                while not (flight.result.done() or self._enqueue(record, answered)):  # noqa: ASYNC110 - as below
                    # The queue is full. No event tells of room: it comes when something is answered, in time or not.
                    await asyncio.sleep(_ROOM_POLL_S)
            return await flight.result
        finally:
            self._flights.discard(flight)

    async def look(self, topic: str) -> None:
        """Asks for a topic's metadata. Raises DependencyError when no broker answers within KAFKA_ANSWER_S."""
        try:
            await asyncio.to_thread(self._client.list_topics, topic, KAFKA_ANSWER_S)
        except KafkaException as error:
            told = error.args[0]
            raise DependencyError(f"Kafka: {told.str()}", dependency=KAFKA, cause_class=told.name()) from error

    async def close(self) -> None:
        """Gives what is in flight PRODUCER_CLOSE_S to be acknowledged."""
        unsent = await asyncio.to_thread(self._client.flush, PRODUCER_CLOSE_S)
        if unsent:
            log.warning("producer_closed_with_unsent_records", records=unsent)
        self._closing.set()
        await asyncio.to_thread(self._thread.join, PRODUCER_CLOSE_S)

    def _enqueue(self, record: OutgoingRecord, answered: "partial[None]") -> bool:
        """False when there is no room."""
        try:
            self._client.produce(
                record.topic, record.value, record.key, on_delivery=answered, headers=list(record.headers)
            )
        except BufferError:
            return False
        except KafkaException as error:
            answered(error.args[0], None)
        return True

    def _poll(self) -> None:
        try:
            while not self._closing.is_set():
                self._client.poll(POLL_INTERVAL_S)
        except BaseException as error:  # noqa: BLE001 - told to everybody who waits: without this thread nothing is answered
            self._broken = KafkaClientError(f"Kafka producer: its thread died of {type(error).__name__}: {error}")
            for flight in self._flights.copy():
                flight.fail(self._broken)


class _Flight:
    """Records sent together. `answered` is called once for each, on the poll thread or on the loop's."""

    def __init__(self, loop: asyncio.AbstractEventLoop, records: int) -> None:
        self.result: asyncio.Future[list[RecordError | None]] = loop.create_future()
        self._loop = loop
        self._errors: list[RecordError | None] = [None] * records
        self._unanswered = records
        self._fatal: KafkaClientError | None = None
        self._lock = threading.Lock()

    def answered(self, index: int, error: KafkaError | None, _message: object) -> None:
        if error is not None:
            self._note(index, error)
        with self._lock:
            self._unanswered -= 1
            last = self._unanswered == 0
        if last:
            # The loop is gone when a process ends without waiting for its records: nobody listens any more.
            with suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._land)

    def fail(self, error: KafkaClientError) -> None:
        """No answer will come any more."""
        self._fatal = error
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._land)

    def _note(self, index: int, error: KafkaError) -> None:
        if error.fatal() or error.code() == KafkaError._FATAL:  # noqa: SLF001 - the client's only name for it
            self._fatal = KafkaClientError(f"Kafka producer: {error.str()}")
        elif error.code() in _NEVER_ACCEPTED:
            self._errors[index] = PermanentError(f"Kafka refuses the record: {error.str()}", cause_class=error.name())
        else:
            # A missing topic or right included: that is the cluster's state, not the record's fault.
            self._errors[index] = DependencyError(f"Kafka: {error.str()}", dependency=KAFKA, cause_class=error.name())

    def _land(self) -> None:
        # Done already: the waiter was cancelled.
        if self.result.done():
            return
        if self._fatal is not None:
            self.result.set_exception(self._fatal)
        else:
            self.result.set_result(self._errors)


@asynccontextmanager
async def open_producer(settings: Settings, client_id: str) -> AsyncIterator[Producer]:
    """Needs no Kafka to start. On exit what is in flight gets PRODUCER_CLOSE_S."""
    producer = Producer(Client({**producer_config(settings, client_id), "error_cb": ErrorLog("kafka_producer_error")}))
    try:
        yield producer
    finally:
        await producer.close()
