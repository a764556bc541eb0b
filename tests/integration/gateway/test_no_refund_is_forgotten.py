"""Money that we owe stays in sight until it is back, whatever a provider answers meanwhile."""

import aiohttp
import pytest

from services.gateway_api.limits import TASK_ATTEMPTS_MAX
from services.gateway_api.providers import ProviderRefusedError
from services.gateway_api.providers.calls import ProviderApi
from services.gateway_api.providers.razorpay import Razorpay
from services.gateway_api.providers.verified import is_unknown
from services.operations.payments_for_a_person import count_payments_for_a_person
from tests.support.books import make_due, task_rows
from tests.support.checkout import Json, confirm, payment_entity, refund_entity, send_webhook, signed_callback
from tests.support.eventually import eventually
from tests.support.gateway import Gateway, owner_connection, place_order
from tests.support.outside import outside_stub
from tests.support.payment_work import task_workers


async def given_up(gateway: Gateway) -> int:
    async with gateway.dependencies.database.connection() as connection:
        return (await count_payments_for_a_person(connection)).given_up


async def owed_and_unknown(gateway: Gateway) -> Json:
    """An order with a second payment: captured, says a webhook, of which the account that is asked knows nothing."""
    order = await place_order(gateway, key="key-1")
    await confirm(gateway, signed_callback(gateway, order["providerOrderId"], "pay_first"))
    assert (await send_webhook(gateway, "payment.captured", payment=payment_entity(order, "pay_second")))[0] == 200
    return order


async def test_a_refund_of_a_payment_that_the_provider_does_not_know_stays_open(
    gateway: Gateway, database_url: str
) -> None:
    await owed_and_unknown(gateway)
    async with task_workers(gateway):

        async def tried() -> bool:
            [task] = await task_rows(database_url, "refund")
            return task["attempts"] == 1 and task["lease_token"] is None

        await eventually(tried)
    [task] = await task_rows(database_url, "refund")
    assert (task["done_at"], task["last_error"]) == (None, "the provider does not know the payment")


async def test_given_up_it_counts_until_the_money_is_back(gateway: Gateway, database_url: str) -> None:
    order = await owed_and_unknown(gateway)
    async with owner_connection(database_url) as connection:
        await connection.execute("UPDATE payment_tasks SET attempts = $1 WHERE kind = 'refund'", TASK_ATTEMPTS_MAX - 1)
    await make_due(database_url, "refund")
    async with task_workers(gateway):

        async def is_given_up() -> bool:
            return await given_up(gateway) == 1

        await eventually(is_given_up)
    back = refund_entity("pay_second", "rfnd_1", order["amountMinor"])
    await send_webhook(gateway, "refund.processed", payment=payment_entity(order, "pay_second"), refund=back)
    assert await given_up(gateway) == 0


async def test_only_the_words_say_that_razorpay_does_not_know_a_payment() -> None:
    descriptions = iter(["The id provided does not exist", "Bad mode"])
    async with outside_stub() as stub, aiohttp.ClientSession() as http:
        stub.answer = lambda _asked: (400, {"error": {"code": "BAD_REQUEST_ERROR", "description": next(descriptions)}})
        api = ProviderApi("razorpay", http, base_url=stub.url, auth="")
        razorpay = Razorpay(api, key_id="id", key_secrets=(b"a",), webhook_secrets=(b"b",))
        assert is_unknown(await razorpay.fetch_payment("pay_1", within_s=5))
        with pytest.raises(ProviderRefusedError):
            await razorpay.fetch_payment("pay_1", within_s=5)
