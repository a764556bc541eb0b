"""A mark stands only while its record is the only one in hand: a death then is that record's."""

import asyncio

from hypothesis import given
from hypothesis import strategies as st

from services.engine.crashes import Hands


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=30))
def test_whoever_comes_when(comers: list[tuple[bool, int, int]]) -> None:
    """Each: suspect or not, turns of the loop before it comes, and while it is in hand."""
    inside: list[bool] = []

    async def come(hands: Hands, comer: tuple[bool, int, int]) -> None:
        suspect, before, within = comer
        for _ in range(before):
            await asyncio.sleep(0)
        async with hands.alone() if suspect else hands.together():
            inside.append(suspect)
            for _ in range(within + 1):
                assert len(inside) == 1 or not any(inside)
                await asyncio.sleep(0)
            inside.remove(suspect)

    async def all_come() -> None:
        hands = Hands()
        async with asyncio.timeout(10), asyncio.TaskGroup() as tasks:
            for comer in comers:
                tasks.create_task(come(hands, comer))

    asyncio.run(all_come())
    assert not inside


async def test_a_suspect_does_not_wait_for_those_who_come_after_it() -> None:
    hands, order = Hands(), []

    async def come(name: str, *, suspect: bool) -> None:
        async with hands.alone() if suspect else hands.together():
            order.append(name)
            await asyncio.sleep(0.01)

    async with asyncio.TaskGroup() as tasks:
        for name, suspect in (("first", False), ("suspect", True), ("later", False)):
            tasks.create_task(come(name, suspect=suspect))
            await asyncio.sleep(0)
    assert order == ["first", "suspect", "later"]


async def test_one_that_is_given_up_leaves_nothing_behind() -> None:
    hands = Hands()
    async with hands.together():
        waiting = asyncio.create_task(hands.alone().__aenter__())
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.wait((waiting,))
    async with asyncio.timeout(1), hands.alone():
        pass
    async with asyncio.timeout(1), hands.together():
        pass
