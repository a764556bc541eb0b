"""Troubles of money: another amount than the order's, a refund that no attempt can make, nobody's payment."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

from services.common.settings import PREFIX, Settings
from services.gateway_api.callers.roles import Role
from services.gateway_api.providers import Provider, load_providers
from services.sandbox.accounts import sandbox_accounts, sandbox_environment
from tests.support.alerts.scene import Scene
from tests.support.eventually import eventually
from tests.support.gateway import order_body

_IS_GIVEN_UP = """
UPDATE payment_tasks SET done_at = clock_timestamp(), last_error = 'refused'
 WHERE order_id = $1 AND kind = 'refund' AND done_at IS NOT NULL RETURNING id
"""
# One of the providers: a gateway compares one in half a minute. Its first comparison may be under way still: without
# its lease it ends, and changes nothing.
_AGED = """
UPDATE provider_sweeps
   SET swept_until = now() - interval '3 days', due_at = now() + interval '1 day',
       lease_until = NULL, lease_token = NULL
 WHERE provider = 'razorpay'
"""
_HURRIED = "UPDATE provider_sweeps SET due_at = now() WHERE swept_until < now() - interval '1 day'"


@asynccontextmanager
async def payments_that_no_rule_settles(scene: Scene) -> AsyncIterator[None]:
    """Ends as each page of the runbook says: finance decides, sends back again, sends back at the provider."""
    provider, cheap, paid = _provider(scene), await _order(scene), await _order(scene)
    strange = await provider.create_order(amount_minor=100, currency="INR", receipt="ord_lost", notes={})
    await asyncio.gather(_pay(scene, cheap, amount=100), _pay(scene, paid))
    strangers = await _pay(scene, {"providerOrderId": strange.provider_order_id})
    await eventually(lambda: _accepted(scene, paid, "refund", amountMinor=100), within_s=30)
    await eventually(lambda: _is_given_up(scene, paid), within_s=30)
    yield
    await eventually(lambda: _accepted(scene, cheap, "resolve", decision="refund"), within_s=30)
    await eventually(lambda: _accepted(scene, paid, "refund"), within_s=30)
    await provider.refund(strangers, amount_minor=None, key=str(uuid4()), within_s=5)


@asynccontextmanager
async def providers_that_are_not_compared(scene: Scene) -> AsyncIterator[None]:
    """As when each comparison of three days was refused something. Ends with one that was not."""
    async with scene.world() as world:
        await world.connection.execute(_AGED)
    yield

    async def are_compared() -> bool:
        """One that failed, as on a busy machine, would be tried again by itself after a minute."""
        async with scene.world() as world:
            return await world.connection.execute(_HURRIED) == "UPDATE 0"

    await eventually(are_compared, within_s=120, every_s=3)


def _provider(scene: Scene) -> Provider:
    accounts = sandbox_accounts(scene.settings, scene.system.gateway_url)
    values = sandbox_environment(accounts, scene.system.sandbox_url)
    settings = Settings.from_environment(**{name.removeprefix(PREFIX).lower(): value for name, value in values.items()})
    return load_providers(settings, scene.http)["razorpay"]


async def _order(scene: Scene) -> dict[str, Any]:
    headers = scene.headers(Role.STUDENT, "student-1") | {"Idempotency-Key": str(uuid4())}
    url = f"{scene.system.gateway_url}/api/v1/orders"
    async with scene.http.post(url, json=order_body(), headers=headers) as answer:
        placed: dict[str, Any] = await answer.json()
        assert answer.status == 201, placed
    return placed


async def _pay(scene: Scene, order: dict[str, Any], **payer: object) -> str:
    """The payment's id; the sandbox tells the gateway by a webhook."""
    url = f"{scene.system.sandbox_url}/checkout/{order['providerOrderId']}/pay"
    async with scene.http.post(url, json=payer) as answer:
        assert answer.ok, await answer.text()
        return str((await answer.json())["razorpay_payment_id"])


async def _accepted(scene: Scene, order: dict[str, Any], verb: str, **body: object) -> bool:
    """Not before the webhook is there."""
    url = f"{scene.system.gateway_url}/api/v1/admin/payments/{order['orderId']}/{verb}"
    headers = scene.headers(Role.FINANCE, "finance-1") | {"Idempotency-Key": str(uuid4())}
    async with scene.http.post(url, json={"reason": "a trouble", **body}, headers=headers) as answer:
        return answer.ok


async def _is_given_up(scene: Scene, order: dict[str, Any]) -> bool:
    """As after two days of refusals."""
    async with scene.world() as world:
        return await world.connection.fetchval(_IS_GIVEN_UP, order["orderId"]) is not None
