"""The poll thread of one consumer: it alone touches librdkafka's handle.

Each turn it obeys commands, polls, and hands what came to the event loop, one batch ahead at most. It polls at least
every POLL_INTERVAL_S, whatever the loop does: while the loop is busy it takes a record at a time, and when a batch is
full of them it pauses. Rebalance callbacks run inside a poll, on this thread; there the poll rule is suspended, because
they wait for the loop to finish what is in flight, and commit by themselves instead of through the command queue.
AIOConsumer is no choice: cancelling its poll loses a record.
"""

import asyncio
import queue
import threading
import time
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import CancelledError
from contextlib import suppress

import structlog
from confluent_kafka import Consumer as Client
from confluent_kafka import KafkaError, KafkaException, Message, TopicPartition

from services.common.kafka_config import consumer_config
from services.common.limits import BATCH_RECORDS_MAX, CLOSE_BUDGET_S, COMMIT_ANSWER_S, POLL_INTERVAL_S, REVOKE_BUDGET_S
from services.common.settings import Settings
from services.engine.dispatch import Listener
from services.engine.producer import ErrorLog, KafkaClientError
from services.engine.records import Partition, Record, record_of

Offsets = Mapping[Partition, int]
# A record with the generation of its partition.
Fetched = tuple[Record, int]
# Room for ten seconds of single records while the loop is busy, then the partitions are paused.
_PENDING_RECORDS_MAX = BATCH_RECORDS_MAX + 100
_ANSWER_MARGIN_S = 2.0
log = structlog.get_logger()


class GroupConsumer:
    """A member of a consumer group. `topics` may hold a pattern that begins with ^."""

    def __init__(self, settings: Settings, *, group: str, topics: Collection[str], listener: Listener) -> None:
        self._config = consumer_config(settings, group)
        self._topics = list(topics)
        self._listener = listener
        self._loop = asyncio.get_running_loop()
        self._ended: asyncio.Future[None] = self._loop.create_future()
        self._batches: asyncio.Queue[list[Fetched]] = asyncio.Queue()
        self._room = threading.Semaphore(1)
        self._commands: queue.SimpleQueue[Callable[[Client], None]] = queue.SimpleQueue()
        self._closing = threading.Event()
        self._fatal: KafkaError | None = None
        self._log_error = ErrorLog("kafka_consumer_error")
        # The thread's own.
        self._pending: list[Fetched] = []
        self._generations: dict[Partition, int] = {}
        self._generation = 0
        self._paused: set[Partition] = set()
        # Written by the loop, read by the thread.
        self._hold_all = False
        self._hold: frozenset[Partition] = frozenset()
        self.last_poll_at = time.monotonic()

    async def run(self) -> None:
        """Until `close`. Raises what killed the thread: the process must not live on without it."""
        threading.Thread(target=self._run, name="consumer", daemon=True).start()
        await self._ended

    async def take(self) -> list[Fetched]:
        """The next batch. May hold records of partitions that have changed hands since: compare generations."""
        batch = await self._batches.get()
        self._room.release()
        return batch

    def hold_all(self, *, held: bool) -> None:
        """Pauses every partition, those that come later included. Takes effect within POLL_INTERVAL_S."""
        self._hold_all = held
        self._commands.put(self._apply_pauses)

    def hold(self, partitions: frozenset[Partition]) -> None:
        """Pauses these and no others."""
        if partitions != self._hold:
            self._hold = partitions
            self._commands.put(self._apply_pauses)

    def commit(self, offsets: Offsets) -> None:
        """Asynchronous: the listener hears of it."""
        self._commands.put(lambda client: self._commit(client, offsets))

    def close(self) -> None:
        """Leaves the group, which revokes every partition: `run` returns when that is done. librdkafka waits for a
        broker that is silent longer than a stop may take: then `run` raises, and the process leaves the thread behind.
        """
        self._closing.set()
        late = KafkaClientError(f"Kafka consumer: not closed within {CLOSE_BUDGET_S:g} s")
        self._loop.call_later(CLOSE_BUDGET_S, self._end, late)

    # -- on the poll thread --

    def _run(self) -> None:
        callbacks = {"error_cb": self._on_error, "on_commit": self._on_commit}
        try:
            client = Client({**self._config, **callbacks})
            client.subscribe(self._topics, on_assign=self._on_assign, on_revoke=self._on_revoke, on_lost=self._on_lost)
            try:
                while not self._closing.is_set():
                    self._turn(client)
            finally:
                client.close()
        except BaseException as error:  # noqa: BLE001 - carried over to the loop, which ends the process
            self._tell(self._end, error)
        else:
            self._tell(self._end, None)

    def _turn(self, client: Client) -> None:
        with suppress(queue.Empty):
            while True:
                self._commands.get_nowait()(client)
        if self._fatal is not None:
            raise KafkaClientError(f"Kafka consumer: {self._fatal.str()}")
        self.last_poll_at = time.monotonic()
        if not self._pending:
            self._fetch(client, POLL_INTERVAL_S, BATCH_RECORDS_MAX)
        elif self._room.acquire(timeout=POLL_INTERVAL_S):
            self._fetch(client, 0, max(1, BATCH_RECORDS_MAX - len(self._pending)))
            batch, self._pending = self._pending, []
            self._apply_pauses(client)
            self._tell(self._batches.put_nowait, batch)
        else:
            if len(self._pending) >= _PENDING_RECORDS_MAX:
                self._apply_pauses(client)
            self._fetch(client, 0, 1)

    def _fetch(self, client: Client, wait_s: float, records_max: int) -> None:
        """`consume` alone waits until it has `records_max`; so poll for the first one, then take what is there."""
        first = client.poll(wait_s)
        if first is None:
            return
        generation = self._generations.get(_place(first))
        rest = client.consume(records_max - 1, 0) if records_max > 1 else []
        # A rebalance inside `consume`: what was polled before it belongs to somebody else, or comes again.
        if generation == self._generations.get(_place(first)):
            self._keep(first)
        for message in rest:
            self._keep(message)

    def _keep(self, message: Message) -> None:
        error = message.error()
        if error is not None:
            self._on_error(error)
            return
        generation = self._generations.get(_place(message))
        if generation is not None:
            self._pending.append((record_of(message), generation))

    def _apply_pauses(self, client: Client) -> None:
        everything = self._hold_all or len(self._pending) >= _PENDING_RECORDS_MAX
        wanted = {place for place in self._generations if everything or place in self._hold}
        for call, places in ((client.pause, wanted - self._paused), (client.resume, self._paused - wanted)):
            if places:
                call([TopicPartition(*place) for place in places])
        self._paused = wanted

    def _commit(self, client: Client, offsets: Offsets) -> None:
        ours = {place: offset for place, offset in offsets.items() if place in self._generations}
        self._commit_positions(client, ours)

    def _commit_positions(self, client: Client, offsets: Offsets) -> list[TopicPartition]:
        positions = [TopicPartition(*place, offset) for place, offset in offsets.items()]
        try:
            if positions:
                client.commit(offsets=positions, asynchronous=True)
        except KafkaException as error:
            # Uncommitted work is committed with the next, or comes again.
            self._on_error(error.args[0])
        return positions

    def _await_commit(self, client: Client, positions: list[TopicPartition]) -> None:
        """A synchronous commit has no deadline, a question has: its answer comes after that to the commit before it."""
        try:
            if positions:
                client.committed(positions, timeout=COMMIT_ANSWER_S)
        except KafkaException as error:
            self._on_error(error.args[0])

    def _on_assign(self, client: Client, partitions: list[TopicPartition]) -> None:
        generations = {}
        for partition in partitions:
            self._generation += 1
            generations[partition.topic, partition.partition] = self._generation
        self._generations |= generations
        client.incremental_assign(partitions)
        if partitions:
            # librdkafka keeps the pause flag of a partition that was ours before.
            client.resume([TopicPartition(*place) for place in generations])
        self._paused -= generations.keys()
        self._apply_pauses(client)
        self._tell(self._listener.assigned, generations)

    def _on_revoke(self, client: Client, partitions: list[TopicPartition]) -> None:
        places = self._give_up(partitions)
        with suppress(RuntimeError):
            answer = asyncio.run_coroutine_threadsafe(self._listener.revoked(places), self._loop)
            try:
                offsets = answer.result(REVOKE_BUDGET_S + _ANSWER_MARGIN_S)
            except (TimeoutError, CancelledError):
                log.warning("revoked_without_commit", partitions=len(places))
                offsets = {}
            self._await_commit(client, self._commit_positions(client, offsets))
        client.incremental_unassign(partitions)

    def _on_lost(self, client: Client, partitions: list[TopicPartition]) -> None:
        self._tell(self._listener.lost, self._give_up(partitions))
        client.incremental_unassign(partitions)

    def _give_up(self, partitions: list[TopicPartition]) -> frozenset[Partition]:
        places = frozenset((partition.topic, partition.partition) for partition in partitions)
        self._pending = [fetched for fetched in self._pending if fetched[0].place not in places]
        for place in places:
            self._generations.pop(place, None)
        self._paused -= places
        return places

    def _on_commit(self, error: KafkaError | None, partitions: list[TopicPartition]) -> None:
        if error is not None:
            self._on_error(error)
            return
        done = {(p.topic, p.partition): p.offset for p in partitions if p.error is None and p.offset >= 0}
        self._tell(self._listener.committed, done)

    def _on_error(self, error: KafkaError) -> None:
        self._log_error(error)
        if error.fatal():
            self._fatal = error

    def _tell(self, call: Callable[..., object], *arguments: object) -> None:
        with suppress(RuntimeError):  # the loop is gone when the process is ending anyway
            self._loop.call_soon_threadsafe(call, *arguments)

    def _end(self, error: BaseException | None) -> None:
        if self._ended.done():
            return
        if error is None:
            self._ended.set_result(None)
        else:
            self._ended.set_exception(error)


def _place(message: Message) -> Partition:
    return message.topic() or "", message.partition() or 0
