"""The course and push services fail, as the sandbox can be told to let them."""

import asyncio

import aiohttp

from tests.support.chaos.deck import WEATHER_S

_DEAD = {"errorRate": 1.0}
_SLOW = {"slowRate": 1.0, "slowS": 4.0}


async def fail(sandbox_url: str, service: str, *, slow: bool) -> str:
    url = f"{sandbox_url}/control/failures"
    async with aiohttp.ClientSession(raise_for_status=True) as http:
        async with http.get(url) as answer:
            before = await answer.json()
        async with http.put(url, json=before | {service: _SLOW if slow else _DEAD}):
            await asyncio.sleep(WEATHER_S)
        async with http.put(url, json=before):
            return ""
