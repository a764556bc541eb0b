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
from services.engine.parking import Parking, WaitingRoom
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
        self._drained = False
        self._database_answered = False
        self._flood_quiet = False
        self._pauses = Pauses(self._on_pause)
        # A gate of its own: a broker that answers may still acknowledge nothing.
        self._watch_kafka = partial(Gate(self._pauses).look_regularly, partial(producer.look, topics.sources(name)[0]))
        ladder = Ladder(topics, name)
        self._parking = Parking()
        self._waiting = WaitingRoom(self._parking, ladder, self._pauses, hold=self._hold_tiers)
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
        self._retry = lane(group=topics.retry_group(name), topics=tiers, on_gone=self._waiting.drop)
        self._lanes = (self._main, self._retry)
        processor = partial(
            Processor,
            turns=turns,
            handling=self._handling,
            settler=settler,
            ladder=ladder,
            crashes=crashes,
            measures=self._measures,
        )
        self._processors = {
            self._main: processor(self._main, put_back=None),
            self._retry: processor(self._retry, put_back=self._waiting.put_back),
        }

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
                    tasks.create_task(self._waiting.fill(self._retry.take)),
                    tasks.create_task(self._waiting.empty(partial(self._start, self._retry, dispatchers[self._retry]))),
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
        # What is still in flight has had its time: leaving the group waits for it no longer.
        self._drained = True

    def _holds_still(self) -> bool:
        return self._drained or self._pauses.stands("dependency") or self._pauses.stands("flood")

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

    def _hold_tiers(self, crowded: frozenset[Partition]) -> None:
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
