"""Who has shown nothing yet may neither make the database nor a payment provider work without end."""

import asyncio
import secrets

from services.gateway_api.limits import BAD_CREDENTIALS_MAX
from tests.support.checkout import CONFIRM, Json, pay
from tests.support.gateway import Gateway, owner_connection, place_order

PENDING = "/api/v1/admin/allocations?status=pending"


async def guess(gateway: Gateway) -> int:
    headers = {"Authorization": f"ApiKey cpk_{secrets.token_urlsafe(32)}"}
    return (await gateway.call("GET", PENDING, headers=headers))[0]


async def test_keys_that_do_not_exist_are_looked_up_a_hundred_times_and_no_more(
    gateway: Gateway, database_url: str
) -> None:
    # At once, because what is counted is forgotten after some seconds.
    assert set(await asyncio.gather(*(guess(gateway) for _ in range(BAD_CREDENTIALS_MAX)))) == {401}
    async with owner_connection(database_url) as connection, connection.transaction():
        # Whatever asked for a key now would wait.
        await connection.execute("LOCK TABLE api_keys IN ACCESS EXCLUSIVE MODE")
        assert set(await asyncio.gather(*(guess(gateway) for _ in range(20)))) == {429}
    # A token is checked without the database, and a missing one counts as nothing.
    assert (await gateway.call("GET", PENDING, headers=gateway.headers()))[0] == 403
    assert (await gateway.call("GET", PENDING))[0] == 401


async def test_about_a_paid_order_no_provider_is_asked(gateway: Gateway) -> None:
    order = await place_order(gateway, key="key-1", provider="stripe")
    await pay(gateway, order)
    question: Json = {"provider": "stripe", "payment_intent": order["providerOrderId"]}
    status, first = await gateway.call("POST", CONFIRM, json=question)
    assert (status, first["replayed"]) == (200, False)
    async with gateway.http.put(
        f"{gateway.settings.razorpay_base_url}/control/failures", json={"provider": {"errorRate": 1}}
    ) as answer:
        assert answer.status == 200
    status, again = await gateway.call("POST", CONFIRM, json=question)
    assert (status, again) == (200, {**first, "replayed": True})
