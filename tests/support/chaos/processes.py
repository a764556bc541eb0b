"""Faults of the services' processes. Each returns with the service running again, or about to."""

import asyncio

from services.sandbox.demo.children import Child
from tests.support.chaos.deck import DOWN_S, STOPPED_S

_CRASH_WITHIN_S = 15.0
_TWIN_TURNS = 3
_TWIN_S = 2.0


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


async def crash(child: Child, point: str) -> str:
    """Tells whether it died there; killed where it happens to be when it does not get there in time."""
    await child.stop()
    await child.start(crash_point=point)
    died = await child.died(within_s=_CRASH_WITHIN_S)
    if not died:
        await child.kill()
    await child.start()
    return f"{point} {'was hit' if died else 'was not reached'}"


async def rebalance(child: Child) -> str:
    """Another process of the service comes and goes: every two seconds, in an orderly way and by kill -9."""
    for turn in range(_TWIN_TURNS):
        twin = child.twin()
        await twin.start()
        try:
            await asyncio.sleep(_TWIN_S)
        finally:
            await (twin.kill() if turn % 2 else twin.stop())
    return ""
