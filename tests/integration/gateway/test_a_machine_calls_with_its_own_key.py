"""Keys of machines: made, used, seen and ended by an operator's commands, and never readable again."""

import asyncio
import subprocess
from pathlib import Path

import orjson
import pytest

from services.gateway_api.callers.roles import Role
from services.gateway_api.limits import BAD_CREDENTIALS_MAX
from tests.support.checkout import confirm, signed_callback
from tests.support.command import run_coursepay
from tests.support.gateway import Gateway, owner_connection, place_order

PENDING = "/api/v1/admin/allocations?status=pending"


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path


async def _keys(gateway: Gateway, directory: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    url = gateway.settings.required_database_url()
    return await asyncio.to_thread(run_coursepay, "keys", *arguments, directory=directory, database_url=url)


async def _create(gateway: Gateway, directory: Path, name: str, role: str) -> str:
    made = await _keys(
        gateway, directory, "create", name, "--role", role, "--reason", "a test", "--actor", "ops-1", "--lifetime", "1d"
    )
    assert made.returncode == 0, made.stderr
    return made.stdout.strip()


async def _status(gateway: Gateway, key: str, method: str = "GET", path: str = PENDING) -> int:
    return (await gateway.call(method, path, headers={"Authorization": f"ApiKey {key}"}))[0]


async def test_a_key_works_within_its_roles_until_it_is_revoked(
    gateway: Gateway, directory: Path, database_url: str
) -> None:
    key = await _create(gateway, directory, "crm", "support")
    assert await _status(gateway, key) == 200
    assert await _status(gateway, key, "POST", "/api/v1/admin/payments/ord_1/refund") == 403
    assert await _status(gateway, key, "POST", "/api/v1/orders") == 403
    listed = orjson.loads((await _keys(gateway, directory, "ls", "--json")).stdout)["keys"]
    assert [(one["id"], one["state"], one["roles"], one["created_by"]) for one in listed] == [
        ("crm", "in use", ["support"], "ops-1")
    ]
    assert listed[0]["last_used_at"] is not None
    revoked = await _keys(gateway, directory, "revoke", "crm", "--reason", "it leaked", "--actor", "ops-2")
    assert revoked.returncode == 0, revoked.stderr
    assert await _status(gateway, key) == 401
    async with owner_connection(database_url) as connection:
        audited = await connection.fetch("SELECT actor, action, target, reason FROM audit_log ORDER BY id")
        everything = await connection.fetchval("SELECT string_agg(api_keys::text, ' ') FROM api_keys")
    assert [tuple(row) for row in audited] == [
        ("ops-1", "key.create", "crm", "a test"),
        ("ops-2", "key.revoke", "crm", "it leaked"),
    ]
    assert key not in everything


async def test_what_a_machine_does_is_not_taken_for_a_person_s(
    gateway: Gateway, directory: Path, database_url: str
) -> None:
    key = await _create(gateway, directory, "finance-1", "finance")
    order = await place_order(gateway, key="key-1")
    await confirm(gateway, signed_callback(gateway, order["providerOrderId"], "pay_1"))
    headers = {"Authorization": f"ApiKey {key}", "Idempotency-Key": "k-1"}
    path = f"/api/v1/admin/payments/{order['orderId']}/refund"
    refund = {"json": {"reason": "a test"}, "headers": headers}
    assert (await gateway.call("POST", path, **refund))[0] == 202
    # A person of that name has not sent this: it is another request, which meets the first.
    person = gateway.headers(Role.FINANCE, subject="finance-1") | {"Idempotency-Key": "k-1"}
    assert (await gateway.call("POST", path, json={"reason": "a test"}, headers=person))[0] == 409
    async with owner_connection(database_url) as connection:
        actors = await connection.fetch("SELECT actor FROM audit_log WHERE action = 'payment.refund'")
    assert [row["actor"] for row in actors] == ["machine:finance-1"]


async def test_a_key_ends_by_itself(gateway: Gateway, directory: Path, database_url: str) -> None:
    key = await _create(gateway, directory, "crm", "viewer")
    order = await place_order(gateway, key="key-1")
    payment = f"/api/v1/payments/{order['orderId']}"
    assert await _status(gateway, key, path=payment) == 200
    async with owner_connection(database_url) as connection:
        await connection.execute("UPDATE api_keys SET expires_at = now()")
    assert await _status(gateway, key, path=payment) == 401


async def test_what_is_no_key_is_refused_without_asking_the_database(gateway: Gateway) -> None:
    for nonsense in ("cpk_", "x", "cpk_" + "a" * 44, "cpk_" + "a" * 43, "Bearer"):
        assert await _status(gateway, nonsense) == 401


async def test_a_key_that_nobody_should_have_is_not_made(gateway: Gateway, directory: Path) -> None:
    for arguments in (
        ("create", "crm", "--role", "student", "--reason", "x"),
        ("create", "c r m", "--role", "viewer", "--reason", "x"),
        ("create", "crm", "--role", "viewer", "--reason", "x", "--lifetime", "500d"),
        ("create", "crm", "--role", "viewer"),
        ("revoke", "nobody", "--reason", "x"),
    ):
        refused = await _keys(gateway, directory, *arguments)
        assert refused.returncode == 2, arguments
        assert "Traceback" not in refused.stderr


async def test_strangers_at_its_address_do_not_lock_a_working_machine_out(gateway: Gateway, directory: Path) -> None:
    key = await _create(gateway, directory, "crm", "support")
    fresh = await _create(gateway, directory, "new", "support")
    assert await _status(gateway, key) == 200
    for number in range(BAD_CREDENTIALS_MAX):
        assert (await gateway.call("GET", PENDING, headers={"Authorization": f"Bearer bad.{number}.token"}))[0] == 401
    assert await _status(gateway, fresh) == 200
    unused = await _create(gateway, directory, "unused", "support")
    while await _status(gateway, "cpk_" + "a" * 43) == 401:
        pass
    assert [await _status(gateway, one) for one in (unused, key, fresh)] == [429, 200, 200]
