"""A record that kills the process each time it is handled: it is found by the deaths that it causes, set aside with its
bytes, and everybody else is handled.
"""

import asyncio
import signal

import pytest

from services.common.limits import CRASHES_MAX
from services.common.settings import Settings
from services.engine.crashes import MARKS_MAX
from tests.support.engine import dead_letters, handled, is_idle, put, record_of
from tests.support.engine_worker import DEADLY, worker_process
from tests.support.events import payment_succeeded
from tests.support.eventually import eventually

ORDERS = [f"ord_{number}" for number in range(20)]
WITHIN_S = 60.0


@pytest.mark.timeout(240)
async def test_after_as_many_deaths_as_it_takes_to_be_sure(ladder: Settings) -> None:
    orders = [*ORDERS[:10], DEADLY, *ORDERS[10:]]
    records = [record_of(ladder, payment_succeeded(order)) for order in orders]
    await put(ladder, *records)

    deaths = 0
    while not await _lives_until_all_is_done(ladder):
        deaths += 1
        assert deaths <= CRASHES_MAX + MARKS_MAX
    assert deaths == CRASHES_MAX + MARKS_MAX
    assert set(await handled(ladder.required_database_url())) == set(ORDERS)
    letters = await dead_letters(ladder)
    assert [(letter.key, letter.header("error-kind"), letter.value) for letter in letters] == [
        (DEADLY.encode(), "crash", records[orders.index(DEADLY)].value)
    ]


async def _lives_until_all_is_done(settings: Settings) -> bool:
    async with worker_process(settings) as worker:
        ending = asyncio.ensure_future(worker.wait())

        async def is_over() -> bool:
            return ending.done() or (await is_idle(settings) and bool(await dead_letters(settings)))

        await eventually(is_over, within_s=WITHIN_S, every_s=0.3)
        if ending.done():
            assert ending.result() == -signal.SIGKILL
            return False
        worker.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(ending, WITHIN_S) == 0
        return True
