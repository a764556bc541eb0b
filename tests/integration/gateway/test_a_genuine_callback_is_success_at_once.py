"""A valid signature on a known order is success now, in one commit, for one caller exactly once."""

import asyncio
from datetime import datetime
from urllib.parse import urlencode

from services.common.events import PaymentSucceeded, order_event_id
from tests.support.books import fact_rows, outbox_events, payment_row, task_rows
from tests.support.checkout import CONFIRM, confirm, pay, signed_callback
from tests.support.gateway import STUDENT, Gateway, place_order


async def test_fact_state_and_event_are_there_when_it_is_answered(gateway: Gateway, database_url: str) -> None:
    order = await place_order(gateway, key="key-1", purchaseTier=20)
    fields = await pay(gateway, order)
    status, told = await confirm(gateway, {"provider": "razorpay", **fields, "extra": {"ignored": [1]}})
    assert status == 200, told
    payment = await payment_row(database_url, order["orderId"])
    assert told == {
        "orderId": order["orderId"],
        "paymentId": fields["razorpay_payment_id"],
        "status": "succeeded",
        "confirmedAt": told["confirmedAt"],
        "replayed": False,
    }
    assert datetime.fromisoformat(told["confirmedAt"]) == payment["confirmed_at"]
    assert (payment["status"], payment["payment_id"]) == ("succeeded", fields["razorpay_payment_id"])
    [fact] = await fact_rows(database_url)
    assert (fact["order_id"], fact["source"], fact["verified_by"]) == (order["orderId"], "callback", "callback hmac 1")
    [event] = await outbox_events(database_url)
    assert isinstance(event, PaymentSucceeded)
    assert event.event_id == order_event_id("PaymentSucceeded", order["orderId"])
    assert (event.student_id, event.purchase_tier, event.amount_minor) == (STUDENT, 20, 1_000_000)
    assert (event.confirmed_at, event.metadata) == (payment["confirmed_at"], {"channel": "web"})
    assert [task["subject"] for task in await task_rows(database_url, "verify")] == [""]


async def test_the_form_of_the_provider_is_the_same_callback(gateway: Gateway, database_url: str) -> None:
    order = await place_order(gateway, key="key-1")
    fields = await pay(gateway, order)
    first = await gateway.call("POST", CONFIRM, data=fields)
    assert first[0] == 200
    again = await confirm(gateway, fields)
    assert again == (200, {**first[1], "replayed": True})
    assert len(await fact_rows(database_url)) == 1


async def test_forty_twins_make_one_event_and_get_one_body(gateway: Gateway, database_url: str) -> None:
    order = await place_order(gateway, key="key-1")
    fields = await pay(gateway, order)
    posts = [{"data": fields} if number % 2 else {"json": fields} for number in range(40)]
    answers = await asyncio.gather(*(gateway.call("POST", CONFIRM, **post) for post in posts))
    assert {status for status, _ in answers} == {200}
    assert sum(not told["replayed"] for _, told in answers) == 1
    assert len({str({**told, "replayed": None}) for _, told in answers}) == 1
    assert len(await outbox_events(database_url)) == 1
    assert len(await fact_rows(database_url)) == 1


async def test_many_orders_at_once_each_get_their_own(gateway: Gateway, database_url: str) -> None:
    orders = [await place_order(gateway, key=f"key-{number}") for number in range(20)]
    callbacks = [signed_callback(gateway, order["providerOrderId"], f"pay_{n}") for n, order in enumerate(orders)]
    answers = await asyncio.gather(*(confirm(gateway, fields) for fields in callbacks for _ in range(3)))
    assert {status for status, _ in answers} == {200}
    assert sum(not told["replayed"] for _, told in answers) == 20
    assert {event.order_id for event in await outbox_events(database_url)} == {order["orderId"] for order in orders}
    assert len(await outbox_events(database_url)) == 20


async def test_a_forged_signature_never_reaches_the_database(gateway: Gateway) -> None:
    order = await place_order(gateway, key="key-1")
    fields = await pay(gateway, order)
    before = gateway.dependencies.database.pool
    held = [await before.acquire() for _ in range(before.get_max_size())]
    try:
        # With every connection taken, whoever asks the database waits for one and is told 503.
        for name in fields:
            status, told = await confirm(gateway, {**fields, name: str(fields[name])[::-1]})
            assert (status, told["type"]) == (401, "/problems/invalid-signature")
            status, told = await confirm(gateway, {key: value for key, value in fields.items() if key != name})
            assert (status, told["type"]) == (401, "/problems/invalid-signature")
    finally:
        for connection in held:
            await before.release(connection)


async def test_an_unknown_order_is_404_and_leaves_nothing(gateway: Gateway, database_url: str) -> None:
    status, told = await confirm(gateway, signed_callback(gateway, "order_unknown", "pay_1"))
    assert (status, told["type"]) == (404, "/problems/unknown-order")
    assert not await fact_rows(database_url)


async def test_what_is_no_callback_is_refused(gateway: Gateway) -> None:
    for body, expected in (
        ({}, 422),
        ([], 422),
        ({"provider": 7}, 422),
        ({"provider": "paypal"}, 404),
        ({"provider": "stripe"}, 422),
        ({"provider": "stripe", "payment_intent": "pi_1/../refunds"}, 422),
        ({"provider": "stripe", "payment_intent": "pi_unknown"}, 404),
        ({"provider": "razorpay"}, 401),
        ({"razorpay_order_id": None}, 401),
    ):
        assert (await gateway.call("POST", CONFIRM, json=body))[0] == expected, body
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    twice = urlencode([("razorpay_order_id", "a"), ("razorpay_order_id", "b")])
    for data in (b"\xff=1", twice.encode(), b"&".join(b"a%d=1" % n for n in range(60))):
        assert (await gateway.call("POST", CONFIRM, data=data, headers=form))[0] == 400, data
    assert (await gateway.call("POST", CONFIRM, data=b"a=1", headers=form))[0] == 422
    assert (await gateway.call("POST", CONFIRM, data=b"a", headers={"Content-Type": "text/plain"}))[0] == 415


async def test_signatures_and_bodies_stay_out_of_the_log(gateway: Gateway, capsys: object) -> None:
    order = await place_order(gateway, key="key-1")
    fields = await pay(gateway, order)
    await confirm(gateway, fields)
    await confirm(gateway, {**fields, "razorpay_signature": "0" * 64})
    written = capsys.readouterr()  # type: ignore[attr-defined]
    assert fields["razorpay_payment_id"] in written.out
    assert fields["razorpay_signature"] not in written.out + written.err
    assert "0" * 64 not in written.out + written.err


async def test_each_outcome_is_measured_and_old_secrets_are_counted(gateway: Gateway) -> None:
    order = await place_order(gateway, key="key-1")
    fields = await pay(gateway, order)
    for body in (fields, fields, {**fields, "razorpay_signature": ""}):
        await confirm(gateway, body)
    await confirm(gateway, {"provider": "stripe", "payment_intent": "pi_unknown"})
    _, metrics = await gateway.call("GET", "/metrics")
    count = "coursepay_confirmation_duration_seconds_count"
    for outcome, number in (("succeeded", 1), ("replayed", 1), ("refused", 2), ("pending", 0), ("unavailable", 0)):
        assert f'{count}{{outcome="{outcome}"}} {number}.0' in metrics
    assert 'coursepay_secret_used_total{position="1",provider="razorpay"} 2.0' in metrics
