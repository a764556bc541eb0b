"""Asking whether a gateway is ready costs PostgreSQL one probe a second, however many ask."""

import asyncio
from typing import cast

from services.common.database import Database
from services.gateway_api.routing.service_routes import Readiness


class SlowDatabase:
    def __init__(self) -> None:
        self.probes = 0
        self.answer = asyncio.Event()

    async def probe(self, *, within_s: float) -> bool:
        self.probes += 1
        async with asyncio.timeout(within_s):
            await self.answer.wait()
        return True


async def test_simultaneous_questions_share_a_probe_that_survives_the_first_who_asked() -> None:
    database = SlowDatabase()
    readiness = Readiness(cast("Database", database), draining=lambda: False)
    first = asyncio.create_task(readiness.passes())
    others = [asyncio.create_task(readiness.passes()) for _ in range(500)]
    await asyncio.sleep(0)
    first.cancel()
    database.answer.set()
    assert all(await asyncio.gather(*others))
    assert await readiness.passes()
    assert database.probes == 1
