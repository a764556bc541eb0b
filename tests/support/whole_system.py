"""The whole path of a payment in the test's own process: sandbox, gateway with its relay, every worker, operations."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from services.assignment_worker.__main__ import serve as serve_assignments
from services.common.settings import Settings
from services.engine.producer import open_producer
from services.gateway_api.callers.roles import Role
from services.gateway_api.publishing.relay import run_relay
from services.notifier.__main__ import serve as serve_notifications
from services.operations.__main__ import serve as serve_operations
from services.purchase_worker.__main__ import serve as serve_purchases
from tests.support.checkout import Json, confirm, pay
from tests.support.eventually import eventually
from tests.support.gateway import STUDENT, Gateway, add_course, owner_connection, place_order, running_gateway
from tests.support.services import running

_SHARED = ("kafka_bootstrap_servers", "kafka_topic_prefix", "kafka_partitions", "retry_delays", "metrics_port")


@dataclass(frozen=True, slots=True, kw_only=True)
class WholeSystem:
    """`settings`: the workers'."""

    gateway: Gateway
    settings: Settings

    async def buy(self, *, key: str, **order: object) -> str:
        """Orders, pays and confirms as one student, who repeats what a busy machine answers with 503; its id."""

        async def placed_order() -> Json:
            return await place_order(self.gateway, key=key, **order)  # type: ignore[arg-type]

        placed = await eventually(placed_order, every_s=0.5)
        fields = await pay(self.gateway, placed)

        async def is_confirmed() -> bool:
            status, told = await confirm(self.gateway, fields)
            return (status, told["status"]) == (200, "succeeded")

        await eventually(is_confirmed, every_s=0.5)
        return str(placed["orderId"])

    async def ask(self, path: str, subject: str = STUDENT) -> Any:  # noqa: ANN401 - JSON
        status, told = await self.gateway.call("GET", path, headers=self.gateway.headers(Role.STUDENT, subject=subject))
        assert status == 200, told
        return told

    async def fetch(self, statement: str, *arguments: object) -> list[dict[str, Any]]:
        """As the owner of the database."""
        async with owner_connection(self.settings.required_database_url()) as connection:
            return [dict(row) for row in await connection.fetch(statement, *arguments)]


@asynccontextmanager
async def whole_system(settings: Settings, **overrides: object) -> AsyncIterator[WholeSystem]:
    """With one course, course-0001. `overrides` are settings of every service."""
    database_url = settings.required_database_url()
    await add_course(database_url)
    shared = {name: getattr(settings, name) for name in _SHARED} | overrides
    async with running_gateway(database_url, settings.state_directory, **shared) as gateway:
        workers = gateway.settings.model_copy(update={"database_deadline": settings.database_deadline})
        services = (serve_purchases, serve_assignments, serve_notifications, serve_operations)
        async with _relay(gateway), running(workers, *services):
            yield WholeSystem(gateway=gateway, settings=workers)


@asynccontextmanager
async def _relay(gateway: Gateway) -> AsyncIterator[None]:
    drained = asyncio.Event()
    async with open_producer(gateway.settings, client_id="test-relay") as producer, asyncio.TaskGroup() as tasks:
        tasks.create_task(run_relay(gateway.dependencies, producer, drained))
        try:
            yield
        finally:
            drained.set()
