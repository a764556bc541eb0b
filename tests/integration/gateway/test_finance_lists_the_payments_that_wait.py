"""Payments in review, oldest first, with what was asked for and what was taken."""

from typing import Any

from services.gateway_api.callers.roles import Role
from tests.support.checkout import confirm, payment_entity, send_webhook, signed_callback
from tests.support.gateway import Gateway, place_order


async def listed(gateway: Gateway, query: str = "status=review") -> tuple[int, Any]:
    headers = gateway.headers(Role.FINANCE, subject="finance-1")
    return await gateway.call("GET", f"/api/v1/admin/payments?{query}", headers=headers)


async def test_a_page_tells_what_differs_and_how_it_goes_on(gateway: Gateway) -> None:
    early, late, fine = [await place_order(gateway, key=f"key-{number}") for number in range(3)]
    await send_webhook(gateway, "payment.captured", payment=payment_entity(early, "pay_1", amount=100))
    await send_webhook(gateway, "payment.captured", payment=payment_entity(early, "pay_2", currency="USD"))
    await confirm(gateway, signed_callback(gateway, late["providerOrderId"], "pay_3"))
    await send_webhook(gateway, "payment.captured", payment=payment_entity(late, "pay_3", amount=7))
    await confirm(gateway, signed_callback(gateway, fine["providerOrderId"], "pay_4"))
    status, first = await listed(gateway, "status=review&limit=1")
    [item] = first["items"]
    assert (status, item["orderId"], item["amountMinor"], item["paymentId"]) == (200, early["orderId"], 500_000, None)
    assert item["taken"] == [
        {"paymentId": "pay_1", "amountMinor": 100, "currency": "INR"},
        {"paymentId": "pay_2", "amountMinor": 500_000, "currency": "USD"},
    ]
    _, rest = await listed(gateway, f"status=review&cursor={first['nextCursor']}")
    [item] = rest["items"]
    assert (item["orderId"], item["paymentId"], rest["nextCursor"]) == (late["orderId"], "pay_3", None)
    assert item["taken"] == [{"paymentId": "pay_3", "amountMinor": 7, "currency": "INR"}]
    assert (await listed(gateway, "status=succeeded"))[0] == 422
