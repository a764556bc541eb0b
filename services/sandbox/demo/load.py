"""Many browsers at a steady rate. Open loop: a slow answer delays nobody else's start."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from services.sandbox.demo.browser import Browser, OrderRefusedError, PlacedOrder
from services.sandbox.demo.plan import Journey, Plan

Prepare = Callable[[Journey, PlacedOrder], Awaitable[None]]


@dataclass(slots=True, kw_only=True)
class Progress:
    """What has been done so far, for a progress bar. `refused`: orders that could not be placed or paid."""

    placed: int = 0
    answered: int = 0
    refused: list[str] = field(default_factory=list)


async def offer(plan: Plan, browser: Browser, progress: Progress, *, prepare: Prepare) -> None:
    """Starts each journey at its time and returns when all have ended. `prepare` runs between order and payment."""
    loop = asyncio.get_running_loop()
    start = loop.time()
    async with asyncio.TaskGroup() as journeys:
        for journey in plan.journeys:
            await asyncio.sleep(start + journey.starts_s - loop.time())
            journeys.create_task(_travel(journey, browser, progress, prepare))


async def _travel(journey: Journey, browser: Browser, progress: Progress, prepare: Prepare) -> None:
    try:
        order = await browser.place_order(journey)
        progress.placed += 1
        await prepare(journey, order)
        callback = await browser.pay(order, journey)
    except OrderRefusedError as error:
        progress.refused.append(str(error))
        return
    await browser.confirm(order, callback, journey)
    progress.answered += 1
