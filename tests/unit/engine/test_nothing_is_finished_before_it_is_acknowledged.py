"""The sequence of `Processor.process`, with everything around it replaced by something that writes down its turn."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, TypeVar, cast

import pytest

from services.common.errors import PermanentError, TransientError
from services.common.limits import FLOOD_RUN_RECORDS
from services.engine.crashes import Hands
from services.engine.guard import Fate, FloodGuard
from services.engine.measures import Spans
from services.engine.outcomes import Dead, Done, Outcome, Retry
from services.engine.processing import Processor
from services.engine.records import Delivery, Header
from services.engine.retries import Ladder
from tests.support.deliveries import TOPICS, delivery, record

T = TypeVar("T")


class Stage:
    """Plays every part but the processor's own."""

    at_once = 1
    asks_care_somewhere = False
    began = False

    def __init__(self, outcomes: dict[int, Outcome]) -> None:
        self.hands = Hands()
        self.turns: list[str] = []
        self.outcomes = outcomes
        self.gone: set[int] = set()
        self.kafka_dies = False
        self.deadly: set[int] = set()
        self.guard = FloodGuard(enabled=True, clock=lambda: 1_000.0 * len(self.turns))

    @contextmanager
    def working(self, _deliveries: Sequence[Delivery]) -> Iterator[None]:
        yield

    def current(self, deliveries: Iterable[Delivery]) -> list[Delivery]:
        return [one for one in deliveries if one.record.offset not in self.gone]

    def finish(self, deliveries: Sequence[Delivery]) -> None:
        self.turns.append(f"finished {[one.record.offset for one in deliveries]}")

    async def handle(self, deliveries: Sequence[Delivery]) -> list[Outcome]:
        self.turns.append(f"handled {[one.record.offset for one in deliveries]}")
        return [self.outcomes.get(one.record.offset, Done()) for one in deliveries]

    async def settle(self, handled: Sequence[tuple[Delivery, Outcome]], _spans: Spans) -> None:
        if self.kafka_dies:
            raise RuntimeError("the producer is beyond repair")
        self.turns.append(f"acknowledged {[one.record.offset for one, _ in handled]}")

    def has_begun(self, _deliveries: Sequence[Delivery]) -> bool:
        return self.began

    def decode_ahead(self, deliveries: Sequence[Delivery]) -> None:
        self.turns.append(f"decoded {[one.record.offset for one in deliveries]}")

    async def begin(self, _deliveries: Sequence[Delivery]) -> None: ...

    def asks_care(self, _delivery: Delivery) -> bool:
        return self.asks_care_somewhere

    async def is_deadly(self, one: Delivery) -> bool:
        self.turns.append(f"marked {one.record.offset}")
        return one.record.offset in self.deadly

    async def survived(self, one: Delivery, *, deadly: bool) -> None:
        self.turns.append(f"{'convicted' if deadly else 'survived'} {one.record.offset}")

    async def let_go(self, one: Delivery) -> None:
        # Nobody else may be in hand while the mark stands.
        others = asyncio.create_task(self.hands.together().__aenter__())
        await asyncio.sleep(0)
        self.turns.append(f"let go {one.record.offset}, {'others' if others.done() else 'alone'}")
        others.cancel()

    def begun(self, _handled: object, _seconds: float) -> None: ...

    def begin_spans(self, _handled: object, _seconds: float) -> Spans:
        return {}

    def handled(self, _handled: object, _seconds: float, _spans: Spans) -> None: ...

    async def next(self) -> None: ...

    def show_flood(self) -> None: ...


def _processor(
    stage: Stage, *, probing: bool = False, put_back: Callable[[Delivery], None] | None = None, flooded: bool = False
) -> Processor:
    while flooded and not stage.guard.tripped:
        stage.guard.admits(Fate.EXHAUSTED)

    async def run(call: Callable[[bool], Awaitable[T]]) -> T:
        return await call(probing)

    turns = SimpleNamespace(
        next=stage.next, show_flood=stage.show_flood, guard=stage.guard, database=SimpleNamespace(run=run)
    )
    part: Any = cast("Any", stage)
    return Processor(
        part,
        turns=cast("Any", turns),
        handling=part,
        settler=part,
        ladder=Ladder(TOPICS, "purchase-worker"),
        crashes=part,
        measures=part,
        put_back=put_back,
    )


async def test_handled_then_acknowledged_then_finished() -> None:
    stage = Stage({1: Retry(TransientError("not now"))})
    await _processor(stage).process([delivery(offset=offset) for offset in range(3)])
    assert stage.turns == ["handled [0, 1, 2]", "acknowledged [0, 1, 2]", "finished [0, 1, 2]"]


async def test_decoding_ahead_waits_until_a_death_would_be_counted() -> None:
    stage = Stage({})
    await _processor(stage).process([delivery(offset=0)])
    stage.began = True
    await _processor(stage).process([delivery(offset=1)])
    stage.asks_care_somewhere = True
    await _processor(stage).process([delivery(offset=2)])
    assert [turn for turn in stage.turns if turn.startswith("decoded")] == ["decoded [1]"]


async def test_without_an_acknowledgement_nothing_is_finished() -> None:
    stage = Stage({})
    stage.kafka_dies = True
    with pytest.raises(RuntimeError):
        await _processor(stage).process([delivery()])
    assert stage.turns == ["handled [0]"]


async def test_a_probe_takes_one_record_and_the_rest_follows() -> None:
    stage = Stage({})
    await _processor(stage, probing=True).process([delivery(offset=offset) for offset in range(2)])
    assert [turn for turn in stage.turns if turn.startswith("handled")] == ["handled [0]", "handled [1]"]


async def test_what_is_no_longer_ours_is_not_handled() -> None:
    stage = Stage({})
    stage.gone = {0}
    await _processor(stage).process([delivery(offset=offset) for offset in range(2)])
    assert stage.turns[0] == "handled [1]"


async def test_a_replay_that_dies_again_does_not_count_as_a_flood() -> None:
    deaths = {offset: Dead(PermanentError("never")) for offset in range(FLOOD_RUN_RECORDS)}
    for headers, trips in (((("replay-id", b"run"),), False), ((), True)):
        stage = Stage(dict(deaths))
        processor = _processor(stage)
        await processor.process([replace_headers(delivery(offset=offset), headers) for offset in deaths])
        assert stage.guard.tripped is trips


def replace_headers(one: Delivery, headers: tuple[Header, ...]) -> Delivery:
    return replace(one, record=record(offset=one.record.offset, headers=headers))


async def test_what_a_flood_holds_is_put_back_and_the_others_are_tried() -> None:
    stage = Stage({0: Retry(TransientError("not now"))})
    put_back: list[int] = []
    processor = _processor(stage, put_back=lambda one: put_back.append(one.record.offset), flooded=True)
    await processor.process([delivery(offset=offset, retries=3) for offset in range(2)])
    assert put_back == [0]
    assert stage.turns[-1] == "finished [1]"


async def test_without_a_place_to_put_it_back_it_is_tried_after_the_others() -> None:
    stage = Stage({0: Retry(TransientError("not now"))})
    await _processor(stage, flooded=True).process([delivery(offset=offset, retries=3) for offset in range(3)])
    assert [turn for turn in stage.turns if turn.startswith("handled")] == [
        "handled [0]",
        "handled [1]",
        "handled [2, 0]",
    ]


async def test_a_suspect_that_a_flood_holds_keeps_no_mark() -> None:
    stage = Stage({0: Retry(TransientError("not now"))})
    stage.asks_care_somewhere = True
    put_back: list[int] = []
    processor = _processor(stage, put_back=lambda one: put_back.append(one.record.offset), flooded=True)
    await processor.process([delivery(offset=0, retries=3)])
    assert put_back == [0]
    assert stage.turns == ["marked 0", "handled [0]", "acknowledged []", "finished []", "let go 0, alone"]


async def test_a_convict_that_a_flood_holds_keeps_its_mark() -> None:
    """Without it, it would be tried again, and kill again."""

    class MeanwhileFlooded(Stage):
        async def is_deadly(self, one: Delivery) -> bool:
            deadly = await super().is_deadly(one)
            while not self.guard.tripped:
                self.guard.admits(Fate.EXHAUSTED)
            return deadly

    stage = MeanwhileFlooded({})
    stage.asks_care_somewhere, stage.deadly = True, {0}
    put_back: list[int] = []
    await _processor(stage, put_back=lambda one: put_back.append(one.record.offset)).process([delivery(offset=0)])
    assert put_back == [0]
    assert stage.turns == ["marked 0", "acknowledged []", "finished []"]
