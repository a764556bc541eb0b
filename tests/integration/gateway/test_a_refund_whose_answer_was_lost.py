"""A provider did what it was asked, and its answer never came: the task asks again, and no money goes back twice."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from unittest.mock import patch

import pytest

from services.common.errors import DependencyError
from services.gateway_api.callers.roles import Role
from services.gateway_api.limits import REFUND_KEY_S
from services.gateway_api.providers import Provider, VerifiedPayment
from services.gateway_api.providers.meanings import Meaning
from tests.support.books import make_due, payment_row, task_rows
from tests.support.checkout import Json, confirm, pay, payment_entity, send_webhook, signed_callback
from tests.support.eventually import eventually
from tests.support.gateway import Gateway, owner_connection, place_order
from tests.support.payment_work import task_workers

PART = 100_000


@contextmanager
def first_answer_lost(provider: Provider) -> Iterator[list[str]]:
    """The keys under which refunds were asked for."""
    refund, keys = provider.refund, list[str]()

    async def lossy(payment_id: str, *, amount_minor: int | None, key: str, within_s: float) -> VerifiedPayment | None:
        made = await refund(payment_id, amount_minor=amount_minor, key=key, within_s=within_s)
        keys.append(key)
        if len(keys) == 1:
            raise DependencyError("the answer was lost", dependency="provider")
        return made

    with patch.object(provider, "refund", lossy):
        yield keys


async def tried(database_url: str) -> bool:
    [task] = await task_rows(database_url, "refund")
    return task["last_error"] is not None and task["lease_token"] is None


async def is_done(database_url: str) -> bool:
    [task] = await task_rows(database_url, "refund")
    return task["done_at"] is not None


async def paid_order(gateway: Gateway, provider: str) -> Json:
    order = await place_order(gateway, key="key-1", provider=provider)
    fields = await pay(gateway, order)
    if provider == "stripe":
        fields = {"provider": "stripe", "payment_intent": order["providerOrderId"]}
    assert (await confirm(gateway, fields))[0] == 200
    return order


async def ask_for_refund(gateway: Gateway, order: Json, **body: object) -> None:
    headers = gateway.headers(Role.FINANCE, subject="finance-1") | {"Idempotency-Key": "refund-1"}
    path = f"/api/v1/admin/payments/{order['orderId']}/refund"
    assert (await gateway.call("POST", path, json={"reason": "a test", **body}, headers=headers))[0] == 202


async def refunds_at(provider: Provider) -> list[int | None]:
    """Their amounts."""
    now = datetime.now(UTC)
    listed = provider.list_facts(now - timedelta(hours=1), now + timedelta(hours=1))
    made = {Meaning.REFUND_PENDING, Meaning.REFUND_PROCESSED}
    return [one.amount_minor async for one in listed if isinstance(one, VerifiedPayment) and one.meaning in made]


@pytest.mark.parametrize("name", ["razorpay", "stripe"])
async def test_a_part_goes_back_once(gateway: Gateway, database_url: str, name: str) -> None:
    order, provider = await paid_order(gateway, name), gateway.dependencies.providers[name]
    await ask_for_refund(gateway, order, amountMinor=PART)

    with first_answer_lost(provider) as keys:
        async with task_workers(gateway, count=2):
            await eventually(lambda: tried(database_url))
            await make_due(database_url, "refund")
            await eventually(lambda: is_done(database_url))
    assert len(keys) == 2
    assert len(set(keys)) == 1
    assert await refunds_at(provider) == [PART]
    payment = await payment_row(database_url, order["orderId"])
    assert (payment["status"], payment["refunded_minor"]) == ("partially_refunded", PART)


async def test_a_surplus_payment_goes_back_once(gateway: Gateway, database_url: str) -> None:
    order = await place_order(gateway, key="key-1")
    await confirm(gateway, signed_callback(gateway, order["providerOrderId"], "pay_first"))
    surplus, provider = await pay(gateway, order), gateway.dependencies.providers["razorpay"]
    assert (await confirm(gateway, surplus))[0] == 409
    with first_answer_lost(provider) as keys:
        async with task_workers(gateway, count=2):
            await eventually(lambda: tried(database_url))
            await make_due(database_url, "refund")
            await eventually(lambda: is_done(database_url))
            # Later news of the same payment must not send it back again.
            assert (await confirm(gateway, surplus))[0] == 409
            late = payment_entity(order, surplus["razorpay_payment_id"])
            assert (await send_webhook(gateway, "payment.captured", payment=late))[1]["duplicate"] is False
    # The provider is asked before it is sent again, and says that it is back.
    [task] = await task_rows(database_url, "refund")
    assert (keys, task["attempts"], task["last_error"]) == ([str(task["id"])], 2, None)
    assert await refunds_at(provider) == [order["amountMinor"]]
    assert (await payment_row(database_url, order["orderId"]))["status"] == "succeeded"


@pytest.mark.parametrize("amount_minor", [PART, None])
async def test_a_part_is_not_repeated_once_the_provider_has_forgotten_its_key(
    gateway: Gateway, database_url: str, amount_minor: int | None
) -> None:
    order, provider = await paid_order(gateway, "razorpay"), gateway.dependencies.providers["razorpay"]
    await ask_for_refund(gateway, order, **({} if amount_minor is None else {"amountMinor": amount_minor}))
    async with owner_connection(database_url) as connection:
        await connection.execute(
            "UPDATE payment_tasks SET attempts = 1, created_at = created_at - $1::interval WHERE kind = 'refund'",
            timedelta(seconds=REFUND_KEY_S + 60),
        )
    async with task_workers(gateway):
        await eventually(lambda: is_done(database_url))
    [task] = await task_rows(database_url, "refund")
    if amount_minor is None:
        # All that is left can go back once only, whatever the provider remembers.
        assert (task["last_error"], await refunds_at(provider)) == (None, [order["amountMinor"]])
    else:
        assert "too old" in task["last_error"]
        assert await refunds_at(provider) == []
