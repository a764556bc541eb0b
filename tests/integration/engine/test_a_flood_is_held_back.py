"""When everything would become a dead letter, the worker holds still and says so."""

from services.common.errors import PermanentError
from services.common.limits import FLOOD_RUN_RECORDS
from services.common.settings import Settings
from tests.support.engine import (
    Notebook,
    dead_letters,
    free_port,
    handled,
    is_idle,
    put,
    record_of,
    running_worker,
    sample_of,
)
from tests.support.events import payment_succeeded
from tests.support.eventually import eventually

ORDERS = [f"ord_{number}" for number in range(FLOOD_RUN_RECORDS + 30)]


async def test_the_dead_letters_stop_growing_and_a_cure_handles_the_rest(ladder: Settings) -> None:
    own = ladder.model_copy(update={"metrics_port": free_port()})
    sick = Notebook(failing={order: PermanentError("a deploy broke it") for order in ORDERS})
    await put(own, *(record_of(own, payment_succeeded(order)) for order in ORDERS))
    async with running_worker(own, sick.shape):
        await eventually(lambda: _is_flooded(own))
        letters = await dead_letters(own)
        assert len(letters) == FLOOD_RUN_RECORDS

    async with running_worker(own, Notebook().shape):
        await eventually(lambda: is_idle(own), every_s=0.5)
    assert len(await handled(own.required_database_url())) == len(ORDERS) - FLOOD_RUN_RECORDS
    assert len(await dead_letters(own)) == FLOOD_RUN_RECORDS


async def _is_flooded(settings: Settings) -> bool:
    flooded = await sample_of(settings, "coursepay_worker_paused", reason="flood") == 1
    return flooded and len(await dead_letters(settings)) >= FLOOD_RUN_RECORDS
