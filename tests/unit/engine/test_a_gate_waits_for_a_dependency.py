import asyncio

import pytest

from services.common.errors import DependencyError, TransientError
from services.engine.pauses import Gate, Pauses, Reason
from tests.support.eventually import eventually


class Dependency:
    """Away until told otherwise; remembers each call, and those that it answered."""

    def __init__(self) -> None:
        self.away = True
        self.calls: list[bool] = []
        self.answered: list[bool] = []

    async def call(self, probing: bool) -> str:  # noqa: FBT001 - the gate's own call
        self.calls.append(probing)
        await asyncio.sleep(0)
        if self.away:
            raise DependencyError("away", dependency="example")
        self.answered.append(probing)
        return "done"


class Dashboard:
    def __init__(self) -> None:
        self.shown: list[tuple[Reason, bool]] = []
        self.pauses = Pauses(lambda reason, standing: self.shown.append((reason, standing)))


async def test_a_call_waits_until_the_dependency_is_back_and_is_shown_as_a_pause() -> None:
    dependency, dashboard = Dependency(), Dashboard()
    gate = Gate(dashboard.pauses, interval_s=0.01)
    waiting = asyncio.create_task(gate.run(dependency.call))
    await eventually(lambda: len(dependency.calls) >= 3)
    assert dashboard.shown == [("dependency", True)]
    dependency.away = False
    assert await waiting == "done"
    assert dashboard.shown == [("dependency", True), ("dependency", False)]
    assert dependency.calls[0] is False
    assert all(dependency.calls[1:])


async def test_of_many_only_one_probes() -> None:
    dependency = Dependency()
    gate = Gate(Dashboard().pauses, interval_s=0.01)
    waiting = [asyncio.create_task(gate.run(dependency.call)) for _ in range(10)]
    await eventually(lambda: True in dependency.calls)
    assert dependency.calls.count(False) == 10
    dependency.away = False
    await asyncio.gather(*waiting)
    assert dependency.answered.count(True) == 1
    assert dependency.answered.count(False) == 9


async def test_no_record_is_tried_while_a_look_says_that_it_is_away() -> None:
    dependency, looks = Dependency(), 0
    visible = False

    async def reachable() -> bool:
        nonlocal looks
        looks += 1
        return visible

    gate = Gate(Dashboard().pauses, reachable=reachable, interval_s=0.01)
    waiting = asyncio.create_task(gate.run(dependency.call))
    await eventually(lambda: looks > 3)
    assert dependency.calls == [False]
    visible, dependency.away = True, False
    assert await waiting == "done"
    assert dependency.calls == [False, True]


async def test_whoever_asks_first_waits_for_it_to_open() -> None:
    dependency = Dependency()
    gate = Gate(Dashboard().pauses, interval_s=0.01)
    await gate.opened()
    waiting = asyncio.create_task(gate.run(dependency.call))
    await eventually(lambda: dependency.calls)
    passing = asyncio.create_task(gate.opened())
    await eventually(lambda: len(dependency.calls) >= 3)
    assert not passing.done()
    dependency.away = False
    await waiting
    await passing


async def test_what_is_a_records_own_fault_passes_through() -> None:
    dashboard = Dashboard()

    async def call(_probing: bool) -> None:  # noqa: FBT001
        raise TransientError("not now")

    with pytest.raises(TransientError):
        await Gate(dashboard.pauses).run(call)
    assert dashboard.shown == []


async def test_whoever_makes_no_calls_looks_now_and_then_and_shows_it_too() -> None:
    dependency, dashboard = Dependency(), Dashboard()

    async def look() -> None:
        await dependency.call(probing=True)

    looking = asyncio.create_task(Gate(dashboard.pauses, interval_s=0.01).look_regularly(look))
    await eventually(lambda: dashboard.shown == [("dependency", True)])
    dependency.away = False
    await eventually(lambda: dashboard.shown == [("dependency", True), ("dependency", False)])
    looking.cancel()
    await asyncio.gather(looking, return_exceptions=True)
