"""The gateway as a process of its own, with its relay and its tasks, and orders that wait to be paid."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp

from services.common.settings import PREFIX, Settings
from services.sandbox.accounts import sandbox_accounts, sandbox_environment
from services.sandbox.demo.children import Child
from services.sandbox.ports import free_ports
from services.sandbox.razorpay.events import sign
from tests.support.checkout import CONFIRM, Json
from tests.support.gateway import add_course, add_orders

_KEY_SECRET = sandbox_accounts(Settings(), "").razorpay.key_secret


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayProcess:
    """`child` may be killed and paused."""

    child: Child
    port: int
    http: aiohttp.ClientSession

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def confirm(self, number: int) -> int:
        """The status for the callback of the order of that number."""
        async with self.http.post(self.url + CONFIRM, json=callback_of(number)) as answer:
            await answer.read()
            return answer.status


@asynccontextmanager
async def gateway_process(
    settings: Settings, directory: Path, *, orders: int, **more: object
) -> AsyncIterator[GatewayProcess]:
    """`more`: settings by their names. What it prints is in `directory`/gateway.log."""
    database_url = settings.required_database_url()
    await add_course(database_url)
    await add_orders(database_url, orders)
    [port] = free_ports(1)
    accounts = sandbox_accounts(Settings(), "")
    own = {
        "kafka_bootstrap_servers": settings.required_bootstrap_servers(),
        "kafka_topic_prefix": settings.kafka_topic_prefix,
        "database_url": database_url,
        "state_directory": directory,
        "gateway_host": "127.0.0.1",
        "gateway_port": port,
        "log_format": "json",
    } | more
    environment = {PREFIX + name.upper(): str(value) for name, value in own.items()}
    child = Child(
        "gateway",
        arguments=["services.gateway_api"],
        environment={**sandbox_environment(accounts, "http://127.0.0.1:9"), **environment},
        ready_url=f"http://127.0.0.1:{port}/health/ready",
        log=directory / "gateway.log",
    )
    async with aiohttp.ClientSession() as http:
        try:
            await child.start()
            await child.wait_until_ready()
            yield GatewayProcess(child=child, port=port, http=http)
        finally:
            await child.stop()


def callback_of(number: int) -> Json:
    """Of order_N, paid by pay_N."""
    ids = f"order_{number}", f"pay_{number}"
    return {
        "razorpay_order_id": ids[0],
        "razorpay_payment_id": ids[1],
        "razorpay_signature": sign(_KEY_SECRET, "|".join(ids).encode()),
    }
