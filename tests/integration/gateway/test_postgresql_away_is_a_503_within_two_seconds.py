"""Stopped (connections refused) and paused (connections that say nothing): both are one quick answer, never a hang."""

import asyncio
import hashlib
import time
from collections.abc import Callable
from pathlib import Path

import orjson

from services.common.settings import Settings
from services.gateway_api.callers.roles import Role
from services.gateway_api.limits import CONFIRM_S, DATABASE_DEADLINE, RECORDING_DEADLINE_S
from services.sandbox.razorpay.events import sign
from services.sandbox.stack import Stack
from tests.support.checkout import CONFIRM, Json, signed_callback
from tests.support.eventually import eventually
from tests.support.gateway import (
    STUDENT,
    Gateway,
    add_course,
    order_body,
    owner_connection,
    place_order,
    running_gateway,
)

# What a caller may see of the two seconds below on a machine that does other things too.
WITHIN_S = 6.0


def test_all_that_is_waited_for_ends_within_two_seconds() -> None:
    database_s = Settings(database_deadline=DATABASE_DEADLINE).database_deadline_s
    assert max(database_s, RECORDING_DEADLINE_S, CONFIRM_S) < 2


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
        paid = await place_order(gateway, key="paid")
        callback = signed_callback(gateway, paid["providerOrderId"], "pay_1")
        staff = paid["orderId"], await _machine_key(database_url)
        assert await _statuses(gateway, callback) == {200, 201}
        assert await _statuses_of_staff(gateway, *staff) == [200, 409, 200, 200]
        away()
        try:
            assert await _statuses(gateway, callback) == {503}
            assert await _statuses_of_staff(gateway, *staff) == [503] * 4
            assert (await gateway.call("GET", "/health/live"))[0] == 200
            assert (await gateway.call("GET", "/health/ready"))[0] == 503
        finally:
            back()

        async def is_well() -> bool:
            return await _statuses(gateway, callback) <= {200, 201}

        await eventually(is_well)


async def _statuses(gateway: Gateway, callback: Json) -> set[int]:
    student = gateway.headers(Role.STUDENT)
    purchases = await _timed(gateway, "GET", f"/api/v1/students/{STUDENT}/purchases", headers=student)
    keyed = {**student, "Idempotency-Key": str(time.monotonic_ns())}
    order = await _timed(gateway, "POST", "/api/v1/orders", headers=keyed, json=order_body())
    # As many as a shop has at once: nobody waits behind the others' deadlines.
    confirmations = await asyncio.gather(*(_timed(gateway, "POST", CONFIRM, json=callback) for _ in range(20)))
    body = orjson.dumps({"event": "ping", "at": time.monotonic_ns()})
    signed = {"X-Razorpay-Signature": sign(gateway.accounts.razorpay.webhook_secret, body)}
    webhook = await _timed(gateway, "POST", "/api/v1/webhooks/razorpay", data=body, headers=signed)
    return {purchases, order, webhook, *confirmations}


async def _statuses_of_staff(gateway: Gateway, order_id: str, machine_key: str) -> list[int]:
    """Of a student who waits, of finance, of support, of a machine whose key is looked up."""
    finance = gateway.headers(Role.FINANCE) | {"Idempotency-Key": str(time.monotonic_ns())}
    too_much = {"amountMinor": 10**9, "reason": "a slip"}
    pending = "/api/v1/admin/allocations?status=pending"
    statuses = await asyncio.gather(
        _timed(gateway, "GET", f"/api/v1/payments/{order_id}", headers=gateway.headers(Role.STUDENT)),
        _timed(gateway, "POST", f"/api/v1/admin/payments/{order_id}/refund", headers=finance, json=too_much),
        _timed(gateway, "GET", pending, headers=gateway.headers(Role.SUPPORT)),
        _timed(gateway, "GET", pending, headers={"Authorization": f"ApiKey {machine_key}"}),
    )
    return list(statuses)


async def _machine_key(database_url: str) -> str:
    key = "cpk_" + "k" * 43
    async with owner_connection(database_url) as connection:
        await connection.execute(
            "INSERT INTO api_keys (id, key_sha256, roles, created_by) VALUES ('crm', $1, '{support}', 'ops-1')",
            hashlib.sha256(key.encode()).digest(),
        )
    return key


async def _timed(gateway: Gateway, method: str, path: str, **options: object) -> int:
    started = time.monotonic()
    async with gateway.http.request(method, gateway.url + path, **options) as answer:  # type: ignore[arg-type]
        assert answer.status != 503 or int(answer.headers["Retry-After"]) >= 1
        status = answer.status
    assert time.monotonic() - started < WITHIN_S
    return status
