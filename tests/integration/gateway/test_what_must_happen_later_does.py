"""Verifying, reconciling and refunding: rows with a due time that any gateway works through."""

from uuid import uuid4

import pytest

from services.common.events import PaymentAdjusted, PaymentSucceeded
from services.gateway_api.limits import TASK_ATTEMPTS_MAX
from tests.support.books import make_due, outbox_events, payment_row, task_rows
from tests.support.checkout import confirm, pay, payment_entity, send_webhook, signed_callback
from tests.support.eventually import eventually
from tests.support.gateway import Gateway, owner_connection, place_order
from tests.support.payment_work import task_workers


async def _done(database_url: str, kind: str) -> bool:
    tasks = await task_rows(database_url, kind)
    return bool(tasks) and all(task["done_at"] is not None for task in tasks)


async def test_a_signed_payment_is_verified_and_stays(gateway: Gateway, database_url: str) -> None:
    order = await place_order(gateway, key="key-1")
    await confirm(gateway, await pay(gateway, order))
    [task] = await task_rows(database_url, "verify")
    assert 0 < (task["due_at"] - task["created_at"]).total_seconds() <= 60
    await make_due(database_url, "verify")
    async with task_workers(gateway):
        await eventually(lambda: _done(database_url, "verify"))
    assert [type(event) for event in await outbox_events(database_url)] == [PaymentSucceeded]


@pytest.mark.parametrize("really", [{"amount": 100}, {"status": "authorized"}])
async def test_verification_finds_another_amount_and_asks_again_about_an_authorisation(
    gateway: Gateway, database_url: str, really: dict[str, object]
) -> None:
    order = await place_order(gateway, key="key-1")
    assert (await confirm(gateway, await pay(gateway, order, **really)))[0] == 200
    await make_due(database_url, "verify")

    async def tried() -> bool:
        [task] = await task_rows(database_url, "verify")
        return task["attempts"] == 1 and task["lease_token"] is None

    async with task_workers(gateway):
        await eventually(tried)
    [task] = await task_rows(database_url, "verify")
    events = await outbox_events(database_url)
    if "amount" in really:
        assert task["done_at"] is not None
        assert [event.status for event in events if isinstance(event, PaymentAdjusted)] == ["review"]
    else:
        assert task["done_at"] is None
        assert task["due_at"] > task["created_at"]
        assert [type(event) for event in events] == [PaymentSucceeded]


async def test_an_authorisation_that_is_never_captured_is_for_a_person_until_it_is(
    gateway: Gateway, database_url: str
) -> None:
    order = await place_order(gateway, key="key-1")
    callback = await pay(gateway, order, status="authorized")
    assert (await confirm(gateway, callback))[0] == 200
    async with owner_connection(database_url) as connection:
        await connection.execute("UPDATE payment_tasks SET attempts = $1 WHERE kind = 'verify'", TASK_ATTEMPTS_MAX - 1)
    await make_due(database_url, "verify")
    async with task_workers(gateway):
        await eventually(lambda: _done(database_url, "verify"))
    assert (await payment_row(database_url, order["orderId"]))["status"] == "review"
    late = payment_entity(order, callback["razorpay_payment_id"])
    assert (await send_webhook(gateway, "payment.captured", payment=late))[0] == 200
    adjusted = [event.status for event in await outbox_events(database_url) if isinstance(event, PaymentAdjusted)]
    assert adjusted == ["review", "succeeded"]


async def test_a_payment_that_the_provider_does_not_know_is_for_a_person(gateway: Gateway, database_url: str) -> None:
    for number in range(2):
        order = await place_order(gateway, key=f"key-{number}")
        # As someone could who has the secret, and no money.
        assert (await confirm(gateway, signed_callback(gateway, order["providerOrderId"], f"pay_{number}")))[0] == 200
    await make_due(database_url, "verify")
    async with task_workers(gateway):
        await eventually(lambda: _done(database_url, "verify"))
    events = await outbox_events(database_url)
    assert [event.status for event in events if isinstance(event, PaymentAdjusted)] == ["review"] * 2


async def test_an_order_whose_callback_never_came_is_found_paid(gateway: Gateway, database_url: str) -> None:
    paid, unpaid = await place_order(gateway, key="key-1"), await place_order(gateway, key="key-2")
    callback = await pay(gateway, paid)
    await make_due(database_url, "reconcile")

    async def tried() -> bool:
        tasks = await task_rows(database_url, "reconcile")
        return all(task["attempts"] == 1 and task["lease_token"] is None for task in tasks)

    async with task_workers(gateway, count=3):
        await eventually(tried)
    payment = await payment_row(database_url, paid["orderId"])
    assert (payment["status"], payment["payment_id"]) == ("succeeded", callback["razorpay_payment_id"])
    assert not await task_rows(database_url, "verify")
    tasks = {task["order_id"]: task for task in await task_rows(database_url, "reconcile")}
    assert tasks[paid["orderId"]]["done_at"] is not None
    waits = tasks[unpaid["orderId"]]
    assert waits["done_at"] is None
    # Made due early: its first time is still 2 min after the order.
    assert 119 <= (waits["due_at"] - waits["created_at"]).total_seconds() <= 133


async def test_a_task_whose_owner_died_is_done_by_another_after_its_lease(gateway: Gateway, database_url: str) -> None:
    order = await place_order(gateway, key="key-1")
    await pay(gateway, order)
    async with owner_connection(database_url) as connection:
        await connection.execute(
            "UPDATE payment_tasks SET due_at = now(), lease_until = now() + interval '2 s', lease_token = $1", uuid4()
        )
    async with task_workers(gateway):
        await eventually(lambda: _done(database_url, "reconcile"))
    [task] = await task_rows(database_url, "reconcile")
    assert (task["done_at"] - task["created_at"]).total_seconds() >= 2


async def test_a_provider_that_is_away_is_asked_again_later(gateway: Gateway, database_url: str) -> None:
    order = await place_order(gateway, key="key-1")
    await confirm(gateway, await pay(gateway, order))
    await make_due(database_url, "verify")
    failing = f"{gateway.settings.razorpay_base_url}/control/failures"
    async with gateway.http.put(failing, json={"provider": {"errorRate": 1}}) as answer:
        assert answer.status == 200

    async def postponed() -> bool:
        [task] = await task_rows(database_url, "verify")
        return task["last_error"] is not None

    async with task_workers(gateway):
        await eventually(postponed)
    [task] = await task_rows(database_url, "verify")
    assert (task["done_at"], task["lease_token"]) == (None, None)
