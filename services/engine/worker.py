"""A worker process: two consumers (its topics, its retry tiers), one producer, and what runs beside them.

Everything runs in one TaskGroup: the death of any part ends the process with a non-zero code.
"""

import asyncio
import time
from collections.abc import Collection
from contextlib import suppress
from functools import partial

from services.common.codec import Codec, open_codec
from services.common.database import Database
from services.common.health import serve_health
from services.common.limits import (
    BATCH_RECORDS_MAX,
    DRAIN_BUDGET_S,
    FLOOD_PAUSE_S,
    POOL_ACQUIRE_S,
    PROBE_INTERVAL_S,
    REVOKE_BUDGET_S,
)
from services.common.metrics import Metrics
from services.common.runtime import arm
from services.common.settings import Settings
from services.common.topics import Topics
from services.engine.batches import Handling
from services.engine.crashes import CrashWatch
from services.engine.dispatch import Dispatcher
from services.engine.guard import FloodGuard
from services.engine.lane import Lane
from services.engine.measures import Measures
from services.engine.outcomes import Batched, Concurrent, Networked, Shape
from services.engine.parking import Parking, waiting_s
from services.engine.pauses import Gate, Pauses, Reason
from services.engine.processing import Processor, Turns
from services.engine.producer import Producer, open_producer
from services.engine.records import Delivery, Partition
from services.engine.retries import Ladder
from services.engine.settling import Settler

__all__ = ["Batched", "Concurrent", "Networked", "Shape", "run_worker"]

_SAMPLE_INTERVAL_S = 1.0
# A rebalance callback may hold up a poll for its budget.
_LIVE_WITHIN_S = 2 * REVOKE_BUDGET_S


async def run_worker(
    settings: Settings, name: str, shape: Shape, stop: asyncio.Event, *, database: Database, own: Metrics | None = None
) -> None:
    """A worker process until `stop`. `name` as in `topics.WORKERS`; `own`: metrics that its handlers write to, too."""
    arm(settings)
    topics = Topics.of(settings)
    metrics = own or Metrics(name, topics)
    codec = await open_codec(settings)
    async with open_producer(settings, f"coursepay-{name}") as producer:
        worker = Worker(settings, name, shape, topics=topics, metrics=metrics, codec=codec, producer=producer,
                        database=database)  # fmt: skip
        async with serve_health(
            host=settings.gateway_host,
            port=settings.metrics_port,
            registry=metrics.registry,
            live=worker.is_live,
            ready=worker.is_ready,
        ):
            await worker.run(stop)


class Worker:
    """One per process. Construct inside the event loop."""

    def __init__(
        self,
        settings: Settings,
        name: str,
        shape: Shape,
        *,
        topics: Topics,
        metrics: Metrics,
        codec: Codec,
        producer: Producer,
        database: Database,
    ) -> None:
        self._database = database
        self._draining = False
        self._database_answered = False
        self._flood_quiet = False
        self._pauses = Pauses(self._on_pause)
        # A gate of its own: a broker that answers may still acknowledge nothing.
        self._watch_kafka = partial(Gate(self._pauses).look_regularly, partial(producer.look, topics.sources(name)[0]))
        self._parking = Parking()
        self._parked_new = asyncio.Event()
        ladder = self._ladder = Ladder(topics, name)
        self._measures = Measures(metrics, name, ladder)
        crashes = CrashWatch(database, name)
        kafka = Gate(self._pauses)
        turns = Turns(
            database=Gate(self._pauses, reachable=self._database_is_back),
            kafka=kafka,
            guard=FloodGuard(enabled=settings.flood_guard == "on"),
            pauses=self._pauses,
        )
        self._handling = Handling(shape, database, codec)
        settler = Settler(
            producer=producer, gate=kafka, ladder=ladder, codec=codec, topics=topics, measures=self._measures
        )
        lane = partial(Lane, settings, ladder=ladder, crashes=crashes, holds_still=self._holds_still)
        self._main = lane(group=topics.group(name), topics=topics.sources(name), on_gone=lambda _: None)
        tiers = (topics.retry_pattern(name),)
        self._retry = lane(group=topics.retry_group(name), topics=tiers, on_gone=self._parking.drop)
        self._lanes = (self._main, self._retry)
        processor = partial(Processor, turns=turns, handling=self._handling, settler=settler, ladder=ladder)
        self._processors = {lane: processor(lane, crashes=crashes, measures=self._measures) for lane in self._lanes}

    def is_live(self) -> bool:
        """No dependency is asked: a restart cures none."""
        return all(time.monotonic() - lane.consumer.last_poll_at < _LIVE_WITHIN_S for lane in self._lanes)

    def is_ready(self) -> bool:
        """A paused worker stays ready."""
        return all(lane.was_assigned for lane in self._lanes) and self._database_answered and not self._draining

    async def run(self, stop: asyncio.Event) -> None:
        try:
            async with asyncio.TaskGroup() as tasks:
                in_flight = self._handling.in_flight
                shared = Dispatcher(tasks, at_once=in_flight) if self._handling.singly else None
                dispatchers = {lane: shared or Dispatcher(tasks, at_once=in_flight) for lane in self._lanes}
                consumers = [tasks.create_task(lane.consumer.run()) for lane in self._lanes]
                intake = [
                    tasks.create_task(self._feed(dispatchers[self._main])),
                    tasks.create_task(self._park()),
                    tasks.create_task(self._release(dispatchers[self._retry])),
                ]
                beside = [tasks.create_task(lane.commit_regularly()) for lane in self._lanes]
                beside += [tasks.create_task(run()) for run in (self._sample, self._await_database, self._watch_kafka)]
                await stop.wait()
                await self._drain(intake)
                for lane in self._lanes:
                    lane.consumer.close()
                await asyncio.gather(*consumers)
                for dispatcher in dispatchers.values():
                    dispatcher.abandon()
                for task in beside:
                    task.cancel()
        finally:
            for lane in self._lanes:
                lane.consumer.close()

    async def _feed(self, dispatcher: Dispatcher) -> None:
        while True:
            await self._start(self._main, dispatcher, await self._main.take())

    async def _park(self) -> None:
        """A retried record waits here for its due time; its partition is paused only when too much of it does."""
        while True:
            deliveries = await self._retry.take()
            now_ms = time.time() * 1000
            for delivery in deliveries:
                delay_s = self._ladder.delay_s(delivery.tier or "")
                due_ms = delivery.due_ms or 0
                self._parking.park(delivery, waiting_s(due_ms=due_ms, now_ms=now_ms, delay_s=delay_s))
            self._parked_new.set()
            self._hold_crowded()

    async def _release(self, dispatcher: Dispatcher) -> None:
        while True:
            due = self._parking.release()
            for start in range(0, len(due), BATCH_RECORDS_MAX):
                await self._start(self._retry, dispatcher, due[start : start + BATCH_RECORDS_MAX])
            if due:
                self._hold_crowded()
                continue
            self._parked_new.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(self._parking.next_due_in_s()):
                    await self._parked_new.wait()

    async def _start(self, lane: Lane, dispatcher: Dispatcher, deliveries: list[Delivery]) -> None:
        process = self._processors[lane].process
        if self._handling.singly:
            for delivery in deliveries:
                await dispatcher.start(delivery.record.key, partial(process, [delivery]))
        elif deliveries:
            await dispatcher.start(None, partial(process, deliveries))

    async def _drain(self, intake: Collection["asyncio.Task[None]"]) -> None:
        """Nothing new; what is in flight gets its time. Parked records are uncommitted: they may be dropped."""
        self._draining = True
        for task in intake:
            task.cancel()
        self._hold_everything()
        with suppress(TimeoutError):
            async with asyncio.timeout(DRAIN_BUDGET_S):
                await asyncio.gather(*(lane.quiet() for lane in self._lanes))

    def _holds_still(self) -> bool:
        return self._pauses.stands("dependency") or self._pauses.stands("flood")

    def _on_pause(self, reason: Reason, standing: bool) -> None:  # noqa: FBT001 - the pauses' own call
        self._measures.paused(reason, standing=standing)
        if reason == "flood":
            self._flood_quiet = standing
            if standing:
                # Then records are tried one at a time, so they have to come in again.
                asyncio.get_running_loop().call_later(FLOOD_PAUSE_S, self._end_flood_quiet)
        self._hold_everything()

    def _end_flood_quiet(self) -> None:
        self._flood_quiet = False
        self._hold_everything()

    def _hold_everything(self) -> None:
        held = self._draining or self._flood_quiet or self._pauses.stands("dependency")
        for lane in self._lanes:
            lane.consumer.hold_all(held=held)

    def _hold_crowded(self) -> None:
        crowded: frozenset[Partition] = self._parking.crowded
        if bool(crowded) != self._pauses.stands("backpressure"):
            change = self._pauses.begin if crowded else self._pauses.end
            change("backpressure")
        self._retry.consumer.hold(crowded)

    async def _sample(self) -> None:
        while True:
            polled_ago_s = time.monotonic() - min(lane.consumer.last_poll_at for lane in self._lanes)
            self._measures.sampled(
                last_poll_at=time.time() - polled_ago_s,
                partitions=sum(lane.partitions for lane in self._lanes),
                parked=len(self._parking),
                overdue_s=self._parking.overdue_s(),
            )
            self._measures.sampled_pool(self._database)
            await asyncio.sleep(_SAMPLE_INTERVAL_S)

    async def _database_is_back(self) -> bool:
        """Then every connection is made anew: one from before may still lead to a server that takes no writes."""
        if not await self._database.probe(within_s=POOL_ACQUIRE_S):
            return False
        await self._database.pool.expire_connections()
        return True

    async def _await_database(self) -> None:
        """Ready means that the pool has worked once."""
        while not self._database_answered:
            self._database_answered = await self._database.probe(within_s=POOL_ACQUIRE_S)
            await asyncio.sleep(PROBE_INTERVAL_S)
