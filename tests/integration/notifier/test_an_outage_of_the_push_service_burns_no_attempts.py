"""The notifier as a whole, while nobody answers at PUSH_URL."""

import aiohttp

from services.common.database import Database
from services.common.settings import Settings
from services.notifier.__main__ import serve
from services.sandbox.ports import free_ports
from tests.support.events import purchase_created
from tests.support.eventually import eventually
from tests.support.outside import outside_stub
from tests.support.services import announce, dead_letters, on_tier, running


async def test_messages_wait_and_go_out_when_it_is_back(settings: Settings, database: Database) -> None:
    push_port, metrics_port = free_ports(2)
    chosen = settings.model_copy(update={"push_url": f"http://127.0.0.1:{push_port}", "metrics_port": metrics_port})
    async with running(chosen, serve), aiohttp.ClientSession() as http:

        async def metrics() -> str:
            try:
                async with http.get(f"http://127.0.0.1:{metrics_port}/metrics") as answer:
                    return await answer.text()
            except aiohttp.ClientConnectionError:
                return ""

        async def is_paused() -> bool:
            text = await metrics()
            return (
                'coursepay_worker_paused{reason="dependency",worker="notifier"} 1.0' in text
                and 'coursepay_circuit_state{dependency="push_service"} 2.0' in text
            )

        await announce(chosen, *(purchase_created(f"ord_{number}") for number in range(10)))
        await eventually(is_paused, within_s=60)
        async with outside_stub(port=push_port) as push:

            async def all_sent() -> bool:
                async with database.connection() as connection:
                    query = "SELECT count(*) FROM notifications WHERE status = 'sent'"
                    return bool(await connection.fetchval(query) == 10)

            await eventually(all_sent, within_s=60)
            assert len(push.asked) == 10
    for tier in chosen.retry_delays_s:
        assert await on_tier(chosen, "notifier", tier) == []
    assert await dead_letters(chosen, "notifier") == []
