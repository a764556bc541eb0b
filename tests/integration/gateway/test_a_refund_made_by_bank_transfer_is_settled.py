"""Money that went back past the provider counts once, ends what would have sent it, and is told like any refund."""

import asyncio
from typing import Any

import orjson

from services.common.events import PaymentAdjusted
from services.gateway_api.callers.roles import Role
from services.operations.payments_for_a_person import count_payments_for_a_person
from tests.support.books import fact_rows, make_due, outbox_events, payment_row, task_rows
from tests.support.checkout import Json, confirm, pay, payment_entity, refund_entity, send_webhook, signed_callback
from tests.support.eventually import eventually
from tests.support.gateway import STUDENT, Gateway, owner_connection, place_order
from tests.support.payment_work import task_workers

TRANSFER = {"reference": "UTR 4711", "reason": "the card has expired"}
NOT_REFUNDABLE, RUNNING = "/problems/not-refundable", "/problems/refund-running"


async def command(gateway: Gateway, order: Json, verb: str, body: Json, *, key: str) -> tuple[int, Any]:
    headers = gateway.headers(Role.FINANCE, subject="finance-1") | {"Idempotency-Key": key}
    path = f"/api/v1/admin/payments/{order['orderId']}/{verb}"
    return await gateway.call("POST", path, json=body, headers=headers)


async def settle(gateway: Gateway, order: Json, *, key: str = "s-1", **body: object) -> tuple[int, Any]:
    return await command(gateway, order, "settle", {**TRANSFER, **body}, key=key)


async def paid(gateway: Gateway) -> tuple[Json, str]:
    """(the order, the payment that pays it)."""
    order = await place_order(gateway, key="key-1")
    callback = await pay(gateway, order)
    assert (await confirm(gateway, callback))[0] == 200
    return order, callback["razorpay_payment_id"]


async def owed(gateway: Gateway, *, key: str = "key-1") -> tuple[Json, str]:
    """(a paid order, a second payment of it, which is to go back)."""
    order = await place_order(gateway, key=key)
    assert (await confirm(gateway, signed_callback(gateway, order["providerOrderId"], f"pay_of_{key[-1]}")))[0] == 200
    second = await pay(gateway, order)
    assert (await confirm(gateway, second))[0] == 409
    return order, second["razorpay_payment_id"]


async def set_tasks(database_url: str, to: str) -> None:
    async with owner_connection(database_url) as connection:
        await connection.execute(f"UPDATE payment_tasks SET {to} WHERE kind = 'refund'")  # noqa: S608 - of this file


async def for_a_person(gateway: Gateway) -> int:
    async with gateway.dependencies.database.connection() as connection:
        return (await count_payments_for_a_person(connection)).given_up


async def listed(gateway: Gateway, query: str = "") -> Json:
    headers = gateway.headers(Role.FINANCE, subject="finance-1")
    status, told = await gateway.call("GET", f"/api/v1/admin/refunds?status=given_up{query}", headers=headers)
    assert status == 200, told
    return told  # type: ignore[no-any-return]


async def sent_back(gateway: Gateway, payment_id: str) -> int | None:
    return (await gateway.dependencies.providers["razorpay"].fetch_payment(payment_id, within_s=5)).cumulative


async def work_off(gateway: Gateway, database_url: str) -> None:
    await make_due(database_url, "refund")
    async with task_workers(gateway):

        async def is_idle() -> bool:
            return all(task["done_at"] is not None for task in await task_rows(database_url, "refund"))

        await eventually(is_idle)


def adjustments(events: list[Any]) -> list[tuple[str, int]]:
    return [(event.status, event.refunded_minor) for event in events if isinstance(event, PaymentAdjusted)]


async def test_what_was_given_up_is_over_once_its_transfer_is_recorded(gateway: Gateway, database_url: str) -> None:
    order, second = await owed(gateway)
    await set_tasks(database_url, "done_at = now(), last_error = 'a dozen refunds failed'")
    assert await for_a_person(gateway) == 1
    part: Json = {"paymentId": second, "amountMinor": 100_000}
    status, told = await settle(gateway, order, **part)
    assert (status, told["leftMinor"]) == (200, 400_000)
    # Somebody still has to send the rest.
    assert await for_a_person(gateway) == 1
    [item] = (await listed(gateway))["items"]
    assert (item["orderId"], item["paymentId"], item["studentId"]) == (order["orderId"], second, STUDENT)
    assert (item["leftMinor"], item["currency"], item["reason"]) == (400_000, "INR", "a dozen refunds failed")
    rest: Json = {"paymentId": second, "amountMinor": 400_000, "reference": "UTR 4712"}
    status, told = await settle(gateway, order, key="s-2", **rest)
    assert (status, told["leftMinor"], told["status"], told["refundedMinor"]) == (200, 0, "succeeded", 0)
    assert await for_a_person(gateway) == 0
    assert (await listed(gateway))["items"] == []
    [task] = await task_rows(database_url, "refund")
    assert orjson.loads(task["detail"]) == {"settledBy": f"{second} UTR 4712", "lastError": "a dozen refunds failed"}
    # The provider sends it as well, late: nothing is owed any more, and the order's own payment stays what it is.
    back = refund_entity(second, "rfnd_1", order["amountMinor"])
    await send_webhook(gateway, "refund.processed", payment=payment_entity(order, second), refund=back)
    assert (await payment_row(database_url, order["orderId"]))["status"] == "succeeded"
    again = await settle(gateway, order, key="s-3", paymentId=second, amountMinor=1, reference="UTR 4713")
    assert (again[0], again[1]["type"], again[1]["leftMinor"]) == (409, NOT_REFUNDABLE, 0)
    assert len(await task_rows(database_url, "refund")) == 1


async def test_the_student_is_told_and_the_refund_that_waits_is_not_sent(gateway: Gateway, database_url: str) -> None:
    order, payment_id = await paid(gateway)
    assert (await command(gateway, order, "refund", {"amountMinor": 200_000, "reason": "ill"}, key="r-1"))[0] == 202
    answers = [await settle(gateway, order, amountMinor=200_000) for _ in range(2)]
    assert answers[0] == answers[1]
    status, told = answers[0]
    assert (status, told) == (
        200,
        {
            "orderId": order["orderId"],
            "paymentId": payment_id,
            "reference": "UTR 4711",
            "amountMinor": 200_000,
            "currency": "INR",
            "status": "partially_refunded",
            "refundedMinor": 200_000,
            "leftMinor": 300_000,
        },
    )
    await work_off(gateway, database_url)
    assert not await sent_back(gateway, payment_id)
    [fact] = [fact for fact in await fact_rows(database_url) if fact["status"] == "settled"]
    assert (fact["source"], fact["verified_by"], fact["amount_minor"]) == ("staff", "staff finance-1", 200_000)
    # What is left goes by the provider, and no more than that.
    assert (await command(gateway, order, "refund", {"reason": "moved away"}, key="r-2"))[0] == 202
    await work_off(gateway, database_url)
    assert await sent_back(gateway, payment_id) == 300_000
    assert adjustments(await outbox_events(database_url)) == [("partially_refunded", 200_000), ("refunded", 500_000)]
    async with owner_connection(database_url) as connection:
        row = await connection.fetchrow("SELECT * FROM audit_log WHERE action = 'payment.settle'")
    assert row is not None
    assert (row["actor"], row["target"], row["reason"]) == ("finance-1", order["orderId"], TRANSFER["reason"])
    assert orjson.loads(row["before"]) == {"status": "succeeded", "refundedMinor": 0}
    assert orjson.loads(row["after"]) == told


async def test_only_what_is_left_can_be_settled_and_each_transfer_once(gateway: Gateway, database_url: str) -> None:
    order, payment_id = await paid(gateway)
    status, told = await settle(gateway, order, amountMinor=500_001)
    assert (status, told["type"], told["leftMinor"]) == (409, NOT_REFUNDABLE, 500_000)
    # What the provider has begun to send is on its way, not left.
    begun = refund_entity(payment_id, "rfnd_1", 400_000, "pending")
    await send_webhook(gateway, "refund.created", payment=payment_entity(order, payment_id), refund=begun)
    status, told = await settle(gateway, order, amountMinor=500_000)
    assert (status, told["leftMinor"]) == (409, 100_000)
    assert (await settle(gateway, order, amountMinor=50_000, paymentId="pay_of_nobody"))[1]["type"] == NOT_REFUNDABLE
    assert not adjustments(await outbox_events(database_url))
    assert (await settle(gateway, order, amountMinor=50_000, key="s-2"))[0] == 200
    status, told = await settle(gateway, order, amountMinor=50_000, key="s-3")
    assert (status, told["type"]) == (409, "/problems/transfer-already-recorded")
    for body in ({"amountMinor": 0}, {}, {"amountMinor": 1, "reference": " "}):
        assert (await settle(gateway, order, key="s-4", **body))[0] == 422


async def test_a_refund_at_work_or_settled_in_part_only_is_waited_for(gateway: Gateway, database_url: str) -> None:
    order, payment_id = await paid(gateway)
    assert (await command(gateway, order, "refund", {"amountMinor": 200_000, "reason": "ill"}, key="r-1"))[0] == 202
    status, told = await settle(gateway, order, amountMinor=100_000)
    assert (status, told["type"]) == (409, RUNNING)
    await set_tasks(database_url, "lease_until = now() + interval '1 min', lease_token = gen_random_uuid()")
    status, told = await settle(gateway, order, amountMinor=200_000)
    assert (status, told["type"]) == (409, RUNNING)
    assert not [fact for fact in await fact_rows(database_url) if fact["status"] == "settled"]
    # As if its worker had died.
    await set_tasks(database_url, "lease_until = now() - interval '1 s'")
    assert (await settle(gateway, order, amountMinor=200_000))[0] == 200
    await work_off(gateway, database_url)
    assert not await sent_back(gateway, payment_id)


async def test_of_a_payment_that_is_owed_the_provider_sends_what_was_not_settled(
    gateway: Gateway, database_url: str
) -> None:
    order, second = await owed(gateway)
    assert (await settle(gateway, order, paymentId=second, amountMinor=350_000))[0] == 200
    await work_off(gateway, database_url)
    assert await sent_back(gateway, second) == 150_000
    assert await for_a_person(gateway) == 0


async def test_a_refund_of_staff_that_came_back_is_over_once_it_is_settled(gateway: Gateway, database_url: str) -> None:
    order, payment_id = await paid(gateway)
    assert (await command(gateway, order, "refund", {"amountMinor": 200_000, "reason": "ill"}, key="r-1"))[0] == 202
    await work_off(gateway, database_url)
    [sent] = {fact["entity_id"] for fact in await fact_rows(database_url) if "refund" in str(fact["status"])}
    failed = refund_entity(payment_id, sent, 200_000, "failed")
    await send_webhook(gateway, "refund.failed", payment=payment_entity(order, payment_id), refund=failed)
    assert await for_a_person(gateway) == 1
    assert (await settle(gateway, order, amountMinor=150_000))[0] == 200
    assert await for_a_person(gateway) == 1
    assert (await settle(gateway, order, amountMinor=50_000, reference="UTR 4712", key="s-2"))[0] == 200
    assert await for_a_person(gateway) == 0
    assert adjustments(await outbox_events(database_url))[-1] == ("partially_refunded", 200_000)


async def test_it_goes_back_by_one_way_whoever_is_faster(gateway: Gateway, database_url: str) -> None:
    cases = [await owed(gateway, key=f"key-{number}") for number in range(8)]

    async def settled_at_last(order: Json, payment_id: str, number: int) -> bool:
        """False: the provider has it."""
        await asyncio.sleep(number / 100)
        while True:
            status, told = await settle(gateway, order, key=f"s-{number}", paymentId=payment_id, amountMinor=500_000)
            if status == 200 or told["type"] != RUNNING:
                return bool(status == 200)

    async with task_workers(gateway, count=2):
        are_settled = await asyncio.gather(*(settled_at_last(*case, number) for number, case in enumerate(cases)))
    await work_off(gateway, database_url)
    for (_, payment_id), is_settled in zip(cases, are_settled, strict=True):
        assert await sent_back(gateway, payment_id) in ({0, None} if is_settled else {500_000})


async def test_a_page_of_those_given_up_goes_on_with_the_next(gateway: Gateway, database_url: str) -> None:
    cases = [await owed(gateway, key=f"key-{number}") for number in range(3)]
    await set_tasks(database_url, "done_at = now(), last_error = 'refused'")
    first = await listed(gateway, "&limit=2")
    rest = await listed(gateway, f"&cursor={first['nextCursor']}")
    seen = [item["paymentId"] for page in (first, rest) for item in page["items"]]
    assert (sorted(seen), rest["nextCursor"]) == (sorted(payment_id for _, payment_id in cases), None)
    headers = gateway.headers(Role.FINANCE, subject="finance-1")
    assert (await gateway.call("GET", "/api/v1/admin/refunds?status=sent", headers=headers))[0] == 422
