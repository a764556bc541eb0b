"""The course and push services fail, as the sandbox can be told to let them."""

import asyncio

import aiohttp

from tests.support.chaos.deck import WEATHER_S

_DEAD = {"errorRate": 1.0}
_SLOW = {"slowRate": 1.0, "slowS": 4.0}


async def fail(sandbox_url: str, service: str, *, slow: bool) -> str:
    """Only this service's own state is put back: another may have begun to fail, or come back, meanwhile."""
    async with aiohttp.ClientSession(raise_for_status=True) as http:
        before = (await _failures(http, sandbox_url))[service]
        await _set(http, sandbox_url, service, _SLOW if slow else _DEAD)
        await asyncio.sleep(WEATHER_S)
        # One that failed already is put back by whoever made it fail.
        if before["errorRate"] < 1 and before["slowRate"] < 1:
            await _set(http, sandbox_url, service, before)
    return ""


async def _set(http: aiohttp.ClientSession, sandbox_url: str, service: str, how: dict[str, float]) -> None:
    wanted = await _failures(http, sandbox_url) | {service: how}
    async with http.put(f"{sandbox_url}/control/failures", json=wanted):
        return


async def _failures(http: aiohttp.ClientSession, sandbox_url: str) -> dict[str, dict[str, float]]:
    async with http.get(f"{sandbox_url}/control/failures") as answer:
        told: dict[str, dict[str, float]] = await answer.json()
    return told
