"""Faults of the services' processes. Each returns with the service running again, or about to."""

import asyncio
from collections.abc import Awaitable, Callable

from services.sandbox.demo.children import Child
from tests.support.chaos.deck import DOWN_S, STOPPED_S

_CRASH_WITHIN_S = 5.0
# After each round without a crash more work is caused.
_CRASH_ROUNDS = 15
_TWIN_TURNS = 3
_TWIN_S = 2.0


class UnexplainedError(Exception):
    """A fault did not do what it is for, or a process ended that no fault ended. Everything runs again."""


async def kill(child: Child) -> str:
    await child.kill()
    await asyncio.sleep(DOWN_S)
    await child.start()
    return ""


async def stop(child: Child) -> str:
    """SIGSTOP for longer than a consumer's session, SIGCONT: what it still has in hand is no longer its own."""
    child.pause()
    try:
        await asyncio.sleep(STOPPED_S)
    finally:
        child.resume()
    return ""


async def crash(child: Child, point: str, cause_work: Callable[[], Awaitable[str]]) -> str:
    """Raises UnexplainedError when it does not die there, whatever there is to do."""
    await child.stop()
    await child.start(crash_point=point)
    rounds = 0
    while not (died := await child.died(within_s=_CRASH_WITHIN_S)) and rounds < _CRASH_ROUNDS:
        rounds += 1
        await cause_work()
    how = child.how_it_ended() if died else ""
    await child.kill()
    await child.start()
    if not died:
        raise UnexplainedError(f"{child.name} never reached {point}, though work was caused {rounds} times")
    if how != "SIGKILL":
        raise UnexplainedError(f"{child.name} ended by itself on the way to {point}: {how}; see {child.log}")
    return f"{point} was hit{f', once work was caused {rounds} times' if rounds else ''}"


async def mend(child: Child) -> str:
    """Raises UnexplainedError when it had ended."""
    if child.pid is None:
        how = child.how_it_ended()
        await child.start()
        raise UnexplainedError(f"{child.name} had ended by itself: {how}; see {child.log}")
    return ""


async def rebalance(child: Child) -> str:
    """Another process of the service comes and goes: every two seconds, in an orderly way and by kill -9."""
    for turn in range(_TWIN_TURNS):
        twin = child.twin()
        await twin.start()
        try:
            if await twin.died(within_s=_TWIN_S):
                raise UnexplainedError(f"{twin.name} ended by itself: {twin.how_it_ended()}; see {twin.log}")
        finally:
            await (twin.kill() if turn % 2 else twin.stop())
    return ""
