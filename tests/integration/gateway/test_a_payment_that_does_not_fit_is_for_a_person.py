"""Another amount, another currency, another payment: never a purchase by itself, and never a lost fact."""

from services.common.events import PaymentAdjusted, PaymentSucceeded
from tests.support.books import fact_rows, outbox_events, payment_row, task_rows
from tests.support.checkout import confirm, payment_entity, send_webhook, signed_callback
from tests.support.gateway import Gateway, place_order


async def test_another_amount_or_currency_is_a_review_without_an_event(gateway: Gateway, database_url: str) -> None:
    wrongs: list[dict[str, object]] = [{"amount": 1}, {"currency": "USD"}]
    for number, wrong in enumerate(wrongs):
        order = await place_order(gateway, key=f"key-{number}")
        payment_id = f"pay_{number}"
        entity = payment_entity(order, payment_id, **wrong)
        assert (await send_webhook(gateway, "payment.captured", payment=entity))[0] == 200
        payment = await payment_row(database_url, order["orderId"])
        assert (payment["status"], payment["payment_id"], payment["confirmed_at"]) == ("review", None, None)
        status, told = await confirm(gateway, signed_callback(gateway, order["providerOrderId"], payment_id))
        assert (status, told) == (202, {"orderId": order["orderId"], "status": "review"})
    assert not await outbox_events(database_url)


async def test_news_of_another_amount_after_the_success_freezes_it(gateway: Gateway, database_url: str) -> None:
    order = await place_order(gateway, key="key-1")
    fields = signed_callback(gateway, order["providerOrderId"], "pay_1")
    assert (await confirm(gateway, fields))[0] == 200
    await send_webhook(gateway, "payment.captured", payment=payment_entity(order, amount=100))
    succeeded, adjusted = await outbox_events(database_url)
    assert isinstance(succeeded, PaymentSucceeded)
    assert isinstance(adjusted, PaymentAdjusted)
    assert (adjusted.status, adjusted.sequence) == ("review", 1)
    assert (await confirm(gateway, fields))[0] == 202
    payment = await payment_row(database_url, order["orderId"])
    assert payment["confirmed_at"] == succeeded.confirmed_at


async def test_a_second_payment_is_409_stored_and_to_be_refunded_once(gateway: Gateway, database_url: str) -> None:
    order = await place_order(gateway, key="key-1")
    first = await confirm(gateway, signed_callback(gateway, order["providerOrderId"], "pay_1"))
    for _ in range(2):
        status, told = await confirm(gateway, signed_callback(gateway, order["providerOrderId"], "pay_2"))
        assert (status, told["type"], told["orderId"]) == (409, "/problems/order-already-paid", order["orderId"])
        await send_webhook(gateway, "payment.captured", payment=payment_entity(order, "pay_2"))
    assert [(task["kind"], task["subject"]) for task in await task_rows(database_url, "refund")] == [
        ("refund", "pay_2")
    ]
    assert {fact["payment_id"] for fact in await fact_rows(database_url)} == {"pay_1", "pay_2"}
    payment = await payment_row(database_url, order["orderId"])
    assert (payment["status"], payment["payment_id"]) == ("succeeded", "pay_1")
    again = await confirm(gateway, signed_callback(gateway, order["providerOrderId"], "pay_1"))
    assert again == (200, {**first[1], "replayed": True})
    assert len(await outbox_events(database_url)) == 1


async def test_a_failed_payment_may_succeed_later(gateway: Gateway, database_url: str) -> None:
    order = await place_order(gateway, key="key-1")
    await send_webhook(gateway, "payment.failed", payment=payment_entity(order, status="failed"))
    assert (await payment_row(database_url, order["orderId"]))["status"] == "failed"
    await send_webhook(gateway, "payment.authorized", payment=payment_entity(order, status="authorized"))
    assert (await payment_row(database_url, order["orderId"]))["status"] == "created"
    await send_webhook(gateway, "payment.captured", payment=payment_entity(order))
    assert (await payment_row(database_url, order["orderId"]))["status"] == "succeeded"
