"""Callbacks, webhooks, refunds and the reconciler, forty at a time over several gateways of one database."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any

from services.common.events import PaymentAdjusted, PaymentSucceeded
from services.gateway_api.payments.tasks import run_payment_tasks
from tests.support.books import make_due, outbox_events, payment_row, task_rows
from tests.support.checkout import confirm, pay, payment_entity, refund_entity, send_webhook
from tests.support.eventually import eventually
from tests.support.gateway import Gateway, add_course, place_order, running_gateway

ORDERS = 6
Post = Callable[[], Awaitable[tuple[int, Any]]]


async def test_everything_at_once_is_one_success_and_one_change_each(database_url: str, tmp_path: Path) -> None:
    await add_course(database_url)
    drained = asyncio.Event()
    async with (
        running_gateway(database_url, tmp_path) as one,
        running_gateway(database_url, tmp_path) as two,
        asyncio.TaskGroup() as workers,
    ):
        orders = [await place_order(one, key=f"key-{number}") for number in range(ORDERS)]
        callbacks = [await pay(one, order) for order in orders]
        await make_due(database_url, "reconcile")
        for _ in range(2):
            # Gateway one's sandbox has the payments; whichever worker claims a task asks that one.
            workers.create_task(run_payment_tasks(one.dependencies, drained))
        posts = [
            post for order, fields in zip(orders, callbacks, strict=True) for post in _posts((one, two), order, fields)
        ]
        random.Random(5).shuffle(posts)
        answers = await asyncio.gather(*(_insist(post) for post in posts))

        async def reconciled() -> bool:
            # A task that found the machine too busy would be tried again in a minute.
            await make_due(database_url, "reconcile")
            return all(task["done_at"] is not None for task in await task_rows(database_url, "reconcile"))

        await eventually(reconciled)
        drained.set()
    firsts = [told["orderId"] for told in answers if told.get("replayed") is False]
    assert len(firsts) == len(set(firsts))
    events = await outbox_events(database_url)
    for order in orders:
        own = [event for event in events if event.order_id == order["orderId"]]
        assert [type(event) for event in own] == [PaymentSucceeded, PaymentAdjusted, PaymentAdjusted]
        assert [event.sequence for event in own if isinstance(event, PaymentAdjusted)] == [1, 2]
        payment = await payment_row(database_url, order["orderId"])
        assert (payment["status"], payment["refunded_minor"]) == ("partially_refunded", 300_000)
        bodies = [told for told in answers if told.get("orderId") == order["orderId"]]
        assert {(told["paymentId"], told["confirmedAt"]) for told in bodies} == {
            (payment["payment_id"], payment["confirmed_at"].isoformat().replace("+00:00", "Z"))
        }


async def _insist(post: Post) -> Any:  # noqa: ANN401 - JSON
    """As browsers and providers do: a 503 of a busy machine is asked again, whatever had become of it."""
    while True:
        status, told = await post()
        if status != 503:
            assert status == 200, told
            return told


def _posts(gateways: tuple[Gateway, Gateway], order: dict[str, Any], fields: dict[str, Any]) -> list[Post]:
    """Forty for one order."""
    payment_id = fields["razorpay_payment_id"]
    payment = payment_entity(order, payment_id)
    refunds = [refund_entity(payment_id, f"rfnd_{payment_id}_{number}", 150_000) for number in range(2)]
    paid_order = {"id": order["providerOrderId"]}
    posts: list[Post] = []
    for number in range(10):
        gateway, event_id = gateways[number % 2], f"{payment_id}_{number % 3}"
        posts += [
            partial(confirm, gateway, fields),
            partial(send_webhook, gateway, "payment.captured", event_id=event_id, payment=payment),
            partial(send_webhook, gateway, "order.paid", payment=payment, order=paid_order),
            partial(send_webhook, gateway, "refund.processed", refund=refunds[number % 4 // 2], payment=payment),
        ]
    return posts
