"""The way of a record, in order: handled and committed, what it caused acknowledged, finished.

`Processor.process` is the sequence. Everything that can hold it up (a dependency that is away, a flood of dead letters,
care after crashes) decides only how many records the next step takes.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from functools import partial

import structlog

from services.common.errors import CrashError
from services.common.runtime import AFTER_ACKNOWLEDGEMENT, AFTER_COMMIT, BEFORE_HANDLING, reached
from services.engine.batches import Handling
from services.engine.crashes import MARKS_MAX, CrashWatch
from services.engine.guard import Fate, FloodGuard
from services.engine.lane import Lane
from services.engine.measures import Measures
from services.engine.outcomes import Dead, Done, Outcome
from services.engine.pauses import Gate, Pauses
from services.engine.records import Delivery
from services.engine.retries import Ladder
from services.engine.settling import Settler

Handled = Sequence[tuple[Delivery, Outcome]]
log = structlog.get_logger()


class Turns:
    """What every record of the worker process passes before it is handled: both lanes share it."""

    def __init__(self, *, database: Gate, kafka: Gate, guard: FloodGuard, pauses: Pauses) -> None:
        self.database = database
        self.guard = guard
        self._kafka = kafka
        self._pauses = pauses
        self._trying = asyncio.Lock()

    async def next(self) -> None:
        """Returns when something may be handled."""
        # What cannot be handed on is better not begun.
        await self._kafka.opened()
        if self.guard.tripped:
            async with self._trying:
                await asyncio.sleep(self.guard.wait_s())
                self.guard.tried()

    def show_flood(self) -> None:
        """After outcomes were counted: the guard's state as a pause that dashboards and alerts see."""
        if self.guard.tripped == self._pauses.stands("flood"):
            return
        if self.guard.tripped:
            log.error("worker_paused", outcome="paused", reason="flood")
            self._pauses.begin("flood")
        else:
            log.info("worker_resumed", outcome="resumed", reason="flood")
            self._pauses.end("flood")


class Processor:
    """Of one lane. `put_back` takes a record that the flood guard holds, for later; without it, it is tried on here."""

    def __init__(
        self,
        lane: Lane,
        *,
        turns: Turns,
        handling: Handling,
        settler: Settler,
        ladder: Ladder,
        crashes: CrashWatch,
        measures: Measures,
        put_back: Callable[[Delivery], None] | None,
    ) -> None:
        self._lane = lane
        self._put_back = put_back
        self._turns = turns
        self._handling = handling
        self._settler = settler
        self._ladder = ladder
        self._crashes = crashes
        self._measures = measures
        # With one at once, batches are handled one by one and acknowledged one by one, both in order.
        self._handling_places = asyncio.Semaphore(handling.at_once)
        self._settling_places = asyncio.Semaphore(handling.at_once)

    async def process(self, deliveries: Sequence[Delivery]) -> None:
        """Until all are finished, put back, or no longer ours."""
        with self._lane.working(deliveries):
            waiting = self._lane.current(deliveries)
            # A death while decoding has to be counted, and with care the mark comes first.
            if self._crashes.has_begun(waiting) and not self._crashes.asks_care_somewhere:
                self._handling.decode_ahead(waiting)
            while waiting:
                await self._turns.next()
                if not self._crashes.has_begun(waiting):
                    await self._turns.database.run(partial(self._begin, waiting))
                # The suspects last, one by one.
                alone = all(self._crashes.asks_care(delivery) for delivery in waiting)
                async with self._crashes.hands.alone() if alone else self._crashes.hands.together():
                    leaving, held = await self._step(waiting, alone)
                tried = {*leaving, *held}
                # The held ones last: a success among the others is what ends a flood.
                waiting = [delivery for delivery in waiting if delivery not in tried]
                waiting = self._lane.current([*waiting, *self._kept(held)])

    async def _step(self, waiting: Sequence[Delivery], alone: bool) -> tuple[list[Delivery], list[Delivery]]:  # noqa: FBT001
        """Tries some of them. Those that are finished now, and those that the flood guard holds."""
        async with self._handling_places:
            handled, seconds = await self._turns.database.run(partial(self._handle, waiting, alone))
        reached(AFTER_COMMIT)
        leaving = self._admitted(handled)
        self._measures.begun(leaving, seconds)
        spans = self._measures.begin_spans(leaving, seconds)
        async with self._settling_places:
            await self._settler.settle(leaving, spans)
        reached(AFTER_ACKNOWLEDGEMENT)
        finished = [delivery for delivery, _ in leaving]
        self._lane.finish(finished)
        self._measures.handled(leaving, seconds, spans)
        await self._note_survivors(leaving)
        gone = set(finished)
        held = [(delivery, outcome) for delivery, outcome in handled if delivery not in gone]
        await self._take_marks(held)
        return finished, [delivery for delivery, _ in held]

    def _kept(self, held: Sequence[Delivery]) -> Sequence[Delivery]:
        """Those with retries used up would only be in the way of what may succeed, and come again later."""
        if self._put_back is None:
            return held
        for delivery in self._lane.current(held):
            self._put_back(delivery)
        return []

    async def _begin(self, waiting: Sequence[Delivery], _probing: bool) -> None:  # noqa: FBT001
        await self._crashes.begin(self._lane.current(waiting))

    async def _handle(self, waiting: Sequence[Delivery], alone: bool, probing: bool) -> tuple[Handled, float]:  # noqa: FBT001
        """Handles those that may be handled together now; none when nothing is ours any more."""
        part = [delivery for delivery in self._lane.current(waiting) if self._crashes.asks_care(delivery) == alone]
        if alone or probing or self._turns.guard.tripped:
            del part[1:]
        if not part:
            return [], 0.0
        started = time.perf_counter()
        if alone:
            return [(part[0], await self._handle_with_care(part[0]))], time.perf_counter() - started
        reached(BEFORE_HANDLING)
        outcomes = await self._handling.handle(part)
        return list(zip(part, outcomes, strict=True)), time.perf_counter() - started

    async def _handle_with_care(self, delivery: Delivery) -> Outcome:
        if await self._crashes.is_deadly(delivery):
            return Dead(CrashError(f"the process died {MARKS_MAX} times with this record in hand"))
        reached(BEFORE_HANDLING)
        return (await self._handling.handle([delivery]))[0]

    def _admitted(self, handled: Handled) -> Handled:
        """Without those that the flood guard holds back. A replay is a person's decision: it does not count."""
        if all(isinstance(outcome, Done) for _, outcome in handled) and self._turns.guard.all_finished(len(handled)):
            return handled
        leaving = []
        for delivery, outcome in handled:
            fate = self._fate(delivery, outcome)
            is_dead = fate in {Fate.EXHAUSTED, Fate.REFUSED}
            if (is_dead and delivery.replayed) or self._turns.guard.admits(fate):
                leaving.append((delivery, outcome))
        self._turns.show_flood()
        return leaving

    def _fate(self, delivery: Delivery, outcome: Outcome) -> Fate:
        if isinstance(outcome, Done):
            return Fate.FINISHED
        if isinstance(outcome, Dead):
            return Fate.REFUSED
        return Fate.EXHAUSTED if self._ladder.is_exhausted(delivery) else Fate.RETRIED

    async def _note_survivors(self, leaving: Handled) -> None:
        if not self._crashes.asks_care_somewhere:
            return
        for delivery, outcome in leaving:
            if self._crashes.asks_care(delivery):
                await self._turns.database.run(partial(self._survived, delivery, _is_convicted(outcome)))

    async def _survived(self, delivery: Delivery, deadly: bool, _probing: bool) -> None:  # noqa: FBT001
        await self._crashes.survived(delivery, deadly=deadly)

    async def _take_marks(self, held: Handled) -> None:
        """While they wait others are in hand, and a death would be blamed on them."""
        for delivery, outcome in held:
            if self._crashes.asks_care(delivery) and not _is_convicted(outcome):
                await self._turns.database.run(partial(self._let_go, delivery))

    async def _let_go(self, delivery: Delivery, _probing: bool) -> None:  # noqa: FBT001
        await self._crashes.let_go(delivery)


def _is_convicted(outcome: Outcome) -> bool:
    return isinstance(outcome, Dead) and isinstance(outcome.error, CrashError)
