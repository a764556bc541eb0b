"""Stopped (connections refused) and paused (connections that say nothing): both are one quick answer, never a hang."""

import time
from collections.abc import Callable
from pathlib import Path

from services.gateway_api.roles import Role
from services.sandbox.stack import Stack
from tests.support.eventually import eventually
from tests.support.gateway import STUDENT, Gateway, add_course, order_body, running_gateway

WITHIN_S = 2.0


async def test_stopped(stack: Stack, database_url: str, tmp_path: Path) -> None:
    await _goes_away_and_comes_back(database_url, tmp_path, away=stack.postgres.stop, back=stack.postgres.start)


async def test_paused(stack: Stack, database_url: str, tmp_path: Path) -> None:
    await _goes_away_and_comes_back(database_url, tmp_path, away=stack.postgres.pause, back=stack.postgres.resume)


async def _goes_away_and_comes_back(
    database_url: str, state_directory: Path, *, away: Callable[[], None], back: Callable[[], None]
) -> None:
    await add_course(database_url)
    async with running_gateway(database_url, state_directory) as gateway:
        # Warm connections are the harder case: they look alive.
        assert await _statuses(gateway) == {200, 201}
        away()
        try:
            assert await _statuses(gateway) == {503}
            assert (await gateway.call("GET", "/health/live"))[0] == 200
            assert (await gateway.call("GET", "/health/ready"))[0] == 503
        finally:
            back()

        async def is_well() -> bool:
            return await _statuses(gateway) <= {200, 201}

        await eventually(is_well)


async def _statuses(gateway: Gateway) -> set[int]:
    student = gateway.headers(Role.STUDENT)
    purchases = await _timed(gateway, "GET", f"/api/v1/students/{STUDENT}/purchases", headers=student)
    keyed = {**student, "Idempotency-Key": str(time.monotonic_ns())}
    order = await _timed(gateway, "POST", "/api/v1/orders", headers=keyed, json=order_body())
    return {purchases, order}


async def _timed(gateway: Gateway, method: str, path: str, **options: object) -> int:
    started = time.monotonic()
    async with gateway.http.request(method, gateway.url + path, **options) as answer:  # type: ignore[arg-type]
        assert answer.status != 503 or int(answer.headers["Retry-After"]) >= 1
        status = answer.status
    assert time.monotonic() - started < WITHIN_S
    return status
