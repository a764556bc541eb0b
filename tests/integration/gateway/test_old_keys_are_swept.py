import asyncio

import pytest

from services.gateway_api.callers.idempotency_sweep import run_key_sweep, sweep_keys
from tests.support.eventually import eventually
from tests.support.gateway import Gateway, owner_connection, place_order


async def _keys(database_url: str) -> int:
    async with owner_connection(database_url) as connection:
        return int(await connection.fetchval("SELECT count(*) FROM idempotency_keys"))


async def test_only_keys_that_nobody_may_repeat_are_removed(
    gateway: Gateway, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.gateway_api.callers.idempotency_sweep.SWEEP_ROWS", 2)
    for number in range(6):
        await place_order(gateway, key=f"key-{number}")
    async with owner_connection(database_url) as connection:
        await connection.execute(
            "UPDATE idempotency_keys SET created_at = now() - interval '49 h' WHERE key <> 'key-0'"
        )
    assert await sweep_keys(gateway.dependencies.database) == 5
    assert await _keys(database_url) == 1


async def test_the_sweep_runs_by_itself_until_it_is_stopped(gateway: Gateway, database_url: str) -> None:
    await place_order(gateway, key="key-1")
    async with owner_connection(database_url) as connection:
        await connection.execute("UPDATE idempotency_keys SET created_at = now() - interval '49 h'")
    stop = asyncio.Event()
    sweep = asyncio.create_task(run_key_sweep(gateway.dependencies.database, stop, interval_s=0.05))

    async def is_swept() -> bool:
        return await _keys(database_url) == 0

    await eventually(is_swept)
    stop.set()
    async with asyncio.timeout(20):
        await sweep
