"""Waiting until nothing moves any more: nothing undelivered at the provider, nothing in the outbox, no group behind."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping

import aiohttp

from services.common.database import Database
from services.common.errors import DependencyError
from services.common.settings import Settings
from services.sandbox.ledger.database_evidence import count_unpublished
from services.sandbox.ledger.kafka_evidence import read_lags

_LOOK_S = 0.5
# Between two looks a record may be on its way from one stage to the next.
_LOOKS = 2
_OUTBOX, _WEBHOOKS = "outbox", "webhooks"


async def wait_until_quiet(
    settings: Settings, database: Database, http: aiohttp.ClientSession, sandbox_url: str, *, within_s: float
) -> Mapping[str, int]:
    """What still moves, by place: empty once everything is still. After `within_s` seconds: what does not end.

    A server that is away counts as movement. Places are asked in the order in which a payment passes them, so that
    nothing slips through behind the look.
    """

    async def look() -> Mapping[str, int]:
        waiting = {_WEBHOOKS: await _webhooks_waiting(http, sandbox_url)}
        async with database.connection() as connection:
            waiting[_OUTBOX] = await count_unpublished(connection)
        return {**waiting, **await read_lags(settings)}

    return await settle(look, within_s=within_s)


async def settle(look: Callable[[], Awaitable[Mapping[str, int]]], *, within_s: float) -> Mapping[str, int]:
    """Repeats `look` until it found only zeros twice in a row; the last findings above zero otherwise."""
    deadline = asyncio.get_running_loop().time() + within_s
    still_looks = 0
    while True:
        try:
            moving = {place: count for place, count in (await look()).items() if count}
        except (DependencyError, aiohttp.ClientError, TimeoutError) as error:
            moving = {f"{type(error).__name__}: {error}": 1}
        still_looks = 0 if moving else still_looks + 1
        if still_looks >= _LOOKS or asyncio.get_running_loop().time() > deadline:
            return moving
        await asyncio.sleep(_LOOK_S)


async def _webhooks_waiting(http: aiohttp.ClientSession, sandbox_url: str) -> int:
    async with http.get(f"{sandbox_url}/control/webhooks") as answer:
        counts = await answer.json()
    return int(counts["waiting"])
