"""A shop that sets its delays to seconds sees verification, reconciliation and comparison within seconds."""

import asyncio
from pathlib import Path

from services.gateway_api.payments.sweeps import run_sweeps
from tests.support.books import outbox_events, payment_row, task_rows
from tests.support.checkout import confirm, pay
from tests.support.eventually import eventually
from tests.support.gateway import add_course, owner_connection, place_order, running_gateway
from tests.support.payment_work import task_workers


async def test_what_is_due_in_a_second_is_done_in_seconds(database_url: str, tmp_path: Path) -> None:
    await add_course(database_url)
    async with running_gateway(
        database_url, tmp_path, verify_delay="1s", reconcile_delays="1s,3s", sweep_interval="1s"
    ) as gateway:
        signed, silent = [await place_order(gateway, key=f"key-{number}") for number in range(2)]
        assert (await confirm(gateway, await pay(gateway, signed)))[0] == 200
        await pay(gateway, silent)

        async def verified_and_found() -> bool:
            verify = await task_rows(database_url, "verify")
            is_verified = any(task["order_id"] == signed["orderId"] and task["done_at"] for task in verify)
            return is_verified and (await payment_row(database_url, silent["orderId"]))["status"] == "succeeded"

        async def swept_again() -> bool:
            async with owner_connection(database_url) as connection:
                ends = "SELECT min(swept_until) FROM provider_sweeps"
                ended.append(await connection.fetchval(ends))
            return len({one for one in ended if one is not None}) > 2

        ended: list[object] = []
        drained = asyncio.Event()
        async with task_workers(gateway), asyncio.TaskGroup() as tasks:
            tasks.create_task(run_sweeps(gateway.dependencies, drained))
            # Any default is 24 hours, half a minute or more.
            await eventually(verified_and_found, within_s=25)
            await eventually(swept_again, within_s=25)
            drained.set()
        assert len(await outbox_events(database_url)) == 2
