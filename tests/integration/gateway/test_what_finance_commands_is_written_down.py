"""A refund and a decision leave a line in the audit log that says which request changed what; a refund's key is one
request's alone.
"""

from typing import Any

import orjson
import pytest

from services.gateway_api.callers.roles import Role
from tests.support.books import task_rows
from tests.support.checkout import Json, confirm, payment_entity, send_webhook, signed_callback
from tests.support.gateway import Gateway, owner_connection, place_order


async def command(gateway: Gateway, order: Json, verb: str, body: Json, **headers: str) -> tuple[int, Any]:
    who = gateway.headers(Role.FINANCE, subject="finance-1")
    path = f"/api/v1/admin/payments/{order['orderId']}/{verb}"
    return await gateway.call("POST", path, json=body, headers=who | headers)


async def audited(database_url: str) -> list[tuple[str, str, Any, Any]]:
    """Action, request, before, after."""
    async with owner_connection(database_url) as connection:
        rows = await connection.fetch("SELECT action, request_id, before, after FROM audit_log ORDER BY id")
    return [(row[0], row[1], orjson.loads(row[2]), orjson.loads(row[3])) for row in rows]


@pytest.fixture
async def paid(gateway: Gateway) -> Json:
    order = await place_order(gateway, key="key-1")
    assert (await confirm(gateway, signed_callback(gateway, order["providerOrderId"], "pay_1")))[0] == 200
    return order


async def test_before_and_after_and_the_request_are_kept(gateway: Gateway, database_url: str, paid: Json) -> None:
    part = {"amountMinor": 100, "reason": "a lesson fell out"}
    refund = {"Idempotency-Key": "k-1", "X-Request-Id": "request-refund"}
    status, refunded = await command(gateway, paid, "refund", part, **refund)
    assert status == 202
    await send_webhook(gateway, "payment.captured", payment=payment_entity(paid, "pay_1", amount=100))
    decision = {"decision": "accept", "reason": "agreed"}
    status, resolved = await command(gateway, paid, "resolve", decision, **{"X-Request-Id": "request-resolve"})
    assert status == 200
    assert [(action, request, before) for action, request, before, _ in await audited(database_url)] == [
        ("payment.refund", "request-refund", {"status": "succeeded", "refundedMinor": 0}),
        ("payment.resolve", "request-resolve", {"status": "review", "refundedMinor": 0}),
    ]
    for (_, _, _, after), told in zip(await audited(database_url), (refunded, resolved), strict=True):
        assert sorted(after.values(), key=str) == sorted(told.values(), key=str)


async def test_a_key_of_another_refund_is_422_and_of_a_running_one_409(
    gateway: Gateway, database_url: str, paid: Json
) -> None:
    one, other = {"amountMinor": 100, "reason": "one"}, {"amountMinor": 200, "reason": "another"}
    key = {"Idempotency-Key": "k-1"}
    assert (await command(gateway, paid, "refund", one, **key))[0] == 202
    status, told = await command(gateway, paid, "refund", other, **key)
    assert (status, told["type"]) == (422, "/problems/idempotency-key-reused")
    async with owner_connection(database_url) as connection:
        # As while the first one is at work.
        await connection.execute(
            "UPDATE idempotency_keys SET status = NULL, body = NULL, location = NULL,"
            " claimed_until = clock_timestamp() + interval '30 s' WHERE key = 'k-1'"
        )
    status, told = await command(gateway, paid, "refund", one, **key)
    assert (status, told["type"]) == (409, "/problems/idempotency-key-running")
    assert len(await task_rows(database_url, "refund")) == 1
