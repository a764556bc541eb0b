"""Whoever comes first, comes twice or comes late: one payment, one event for each change."""

import asyncio

import orjson
import pytest

from services.common.events import Event, PaymentAdjusted, PaymentSucceeded
from tests.support.books import fact_rows, outbox_events, payment_row
from tests.support.checkout import (
    confirm,
    dispute_entity,
    payment_entity,
    refund_entity,
    send_body,
    send_webhook,
    signed_callback,
)
from tests.support.gateway import Gateway, place_order


def _adjustments(events: list[Event]) -> list[tuple[str, int, int]]:
    return [
        (event.status, event.refunded_minor, event.sequence) for event in events if isinstance(event, PaymentAdjusted)
    ]


@pytest.mark.parametrize("webhook_first", [True, False])
async def test_the_webhook_before_or_after_the_callback(
    gateway: Gateway,
    database_url: str,
    webhook_first: bool,  # noqa: FBT001
) -> None:
    order = await place_order(gateway, key="key-1")
    fields = signed_callback(gateway, order["providerOrderId"], "pay_1")
    if webhook_first:
        assert await send_webhook(gateway, "payment.captured", payment=payment_entity(order)) == (
            200, {"received": True, "duplicate": False},
        )  # fmt: skip
    status, told = await confirm(gateway, fields)
    assert (status, told["paymentId"], told["replayed"]) == (200, "pay_1", False)
    if not webhook_first:
        assert (await send_webhook(gateway, "payment.captured", payment=payment_entity(order)))[0] == 200
    assert [type(event) for event in await outbox_events(database_url)] == [PaymentSucceeded]
    assert len(await fact_rows(database_url)) == 2


async def test_everything_at_once_is_one_payment(gateway: Gateway, database_url: str) -> None:
    order = await place_order(gateway, key="key-1")
    fields = signed_callback(gateway, order["providerOrderId"], "pay_1")
    answers = await asyncio.gather(
        *(confirm(gateway, fields) for _ in range(10)),
        *(send_webhook(gateway, "payment.captured", payment=payment_entity(order)) for _ in range(10)),
        *(send_webhook(gateway, "order.paid", payment=payment_entity(order), order={}) for _ in range(10)),
        *(
            send_webhook(gateway, "payment.authorized", payment=payment_entity(order, status="authorized"))
            for _ in "12"
        ),
    )
    assert {status for status, _ in answers} == {200}
    assert [type(event) for event in await outbox_events(database_url)] == [PaymentSucceeded]
    assert sum(told.get("replayed") is False for _, told in answers) == 1
    assert sum(told.get("duplicate") is False for _, told in answers) == 3


async def test_a_webhook_is_a_duplicate_by_event_id_by_body_and_by_what_it_says(
    gateway: Gateway, database_url: str
) -> None:
    order = await place_order(gateway, key="key-1")
    body = orjson.dumps({"event": "payment.captured", "payload": {"payment": {"entity": payment_entity(order)}}})
    assert (await send_body(gateway, body, event_id="evt1"))[1]["duplicate"] is False
    # The event id is not signed: the same body under another one is no news.
    assert (await send_body(gateway, body, event_id="evt2"))[1]["duplicate"] is True
    assert (await send_body(gateway, body.replace(b"{", b"{ ", 1), event_id="evt3"))[1]["duplicate"] is True
    other = orjson.dumps({"event": "other", "payload": {}})
    assert (await send_body(gateway, other, event_id="evt1"))[1]["duplicate"] is True
    assert len(await fact_rows(database_url)) == 1


async def test_two_refunds_are_two_changes_and_their_order_does_not_matter(gateway: Gateway, database_url: str) -> None:
    order = await place_order(gateway, key="key-1")
    payment = payment_entity(order)
    for refund in (refund_entity("pay_1", "rfnd_1", 100_000), refund_entity("pay_1", "rfnd_2", 400_000)):
        await send_webhook(gateway, "refund.created", refund={**refund, "status": "pending"}, payment=payment)
        await send_webhook(gateway, "refund.processed", refund=refund, payment=payment)
    assert (await payment_row(database_url, order["orderId"]))["status"] == "created"
    assert (await confirm(gateway, signed_callback(gateway, order["providerOrderId"], "pay_1")))[0] == 200
    events = await outbox_events(database_url)
    assert [type(event) for event in events] == [PaymentSucceeded, PaymentAdjusted]
    assert _adjustments(events) == [("refunded", 500_000, 1)]


async def test_refunds_at_the_same_time_are_all_told(gateway: Gateway, database_url: str) -> None:
    order = await place_order(gateway, key="key-1")
    await send_webhook(gateway, "payment.captured", payment=payment_entity(order))
    await asyncio.gather(
        *(
            send_webhook(gateway, "refund.processed", refund=refund_entity("pay_1", f"rfnd_{n}", 100_000))
            for n in range(5)
            for _ in range(3)
        )
    )
    told = _adjustments(await outbox_events(database_url))
    assert [sequence for _, _, sequence in told] == [1, 2, 3, 4, 5]
    assert [refunded for _, refunded, _ in told] == [100_000, 200_000, 300_000, 400_000, 500_000]
    assert told[-1][0] == "refunded"


async def test_a_dispute_freezes_and_its_end_decides(gateway: Gateway, database_url: str) -> None:
    order = await place_order(gateway, key="key-1")
    payment = payment_entity(order)
    await send_webhook(gateway, "payment.captured", payment=payment)
    for change, status in (("created", "open"), ("under_review", "under_review"), ("won", "won")):
        name = f"payment.dispute.{change}"
        assert (await send_webhook(gateway, name, payment=payment, dispute=dispute_entity("pay_1", status)))[0] == 200
    lost = dispute_entity("pay_1", "lost", "disp_2")
    await send_webhook(gateway, "payment.dispute.lost", payment=payment, dispute=lost)
    told = _adjustments(await outbox_events(database_url))
    assert [status for status, _, _ in told] == ["disputed", "succeeded", "charged_back"]


async def test_an_unknown_event_and_nonsense_are_stored(gateway: Gateway, database_url: str) -> None:
    for body in (b"", b"no json", b"[]", b"\xff", orjson.dumps({"event": "invoice.paid", "payload": None})):
        assert await send_body(gateway, body) == (200, {"received": True, "duplicate": False}), body
    assert [fact["event"] for fact in await fact_rows(database_url)] == ["unreadable"] * 4 + ["invoice.paid"]


async def test_a_payment_of_someone_elses_order_is_stored_and_pays_nothing(gateway: Gateway, database_url: str) -> None:
    strange = payment_entity({"providerOrderId": "order_strange", "amountMinor": 1, "currency": "INR"})
    assert (await send_webhook(gateway, "payment.captured", payment=strange))[0] == 200
    [fact] = await fact_rows(database_url)
    assert (fact["order_id"], fact["provider_order_id"]) == (None, "order_strange")
    assert not await outbox_events(database_url)


async def test_a_bad_signature_is_400_and_a_provider_that_is_off_404(gateway: Gateway, database_url: str) -> None:
    for headers in ({}, {"X-Razorpay-Signature": "0" * 64}, {"X-Razorpay-Signature": "x"}):
        status, told = await gateway.call("POST", "/api/v1/webhooks/razorpay", data=b"{}", headers=headers)
        assert (status, told["type"]) == (400, "/problems/invalid-signature")
    status, told = await gateway.call("POST", "/api/v1/webhooks/stripe", data=b"{}")
    assert (status, told["type"]) == (400, "/problems/invalid-signature")
    assert (await gateway.call("POST", "/api/v1/webhooks/paypal", data=b"{}"))[0] == 404
    assert not await fact_rows(database_url)
