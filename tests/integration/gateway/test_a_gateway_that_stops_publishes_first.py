"""The whole process in one: it listens, confirms, publishes, and leaves nothing half done when it is told to stop."""

import asyncio
from pathlib import Path

import aiohttp

from services.common.events import PaymentSucceeded
from services.common.settings import PREFIX, Settings
from services.common.topics import Topics
from services.gateway_api.__main__ import serve
from services.operations.topic_reader import read_topics
from services.sandbox.accounts import sandbox_accounts, sandbox_environment
from services.sandbox.failures import Failures
from services.sandbox.razorpay.events import sign
from services.sandbox.server import serve_sandbox
from tests.support.books import outbox_events
from tests.support.checkout import CONFIRM
from tests.support.gateway import add_course, add_orders


async def test_what_was_confirmed_before_the_stop_is_in_kafka_after_it(settings: Settings, tmp_path: Path) -> None:
    database_url = settings.database_url.get_secret_value()
    await add_course(database_url)
    await add_orders(database_url, 20)
    accounts = sandbox_accounts(Settings(), "")
    async with serve_sandbox(accounts, port=0, failures=Failures()) as sandbox_port, aiohttp.ClientSession() as http:
        environment = sandbox_environment(accounts, f"http://127.0.0.1:{sandbox_port}")
        own = settings.model_copy(update={"gateway_port": 0, "state_directory": tmp_path})
        values = {name.removeprefix(PREFIX).lower(): value for name, value in environment.items()}
        chosen = Settings.from_environment(**{**own.model_dump(exclude_unset=True), **values})
        stop, listening = asyncio.Event(), asyncio.get_running_loop().create_future()
        serving = asyncio.create_task(serve(chosen, stop, on_listening=listening.set_result))
        url = f"http://127.0.0.1:{await listening}{CONFIRM}"

        async def confirm(number: int) -> int:
            ids = f"order_{number}", f"pay_{number}"
            signature = sign(accounts.razorpay.key_secret, "|".join(ids).encode())
            names = ("razorpay_order_id", "razorpay_payment_id", "razorpay_signature")
            async with http.post(url, json=dict(zip(names, (*ids, signature), strict=True))) as answer:
                return answer.status

        assert set(await asyncio.gather(*(confirm(number) for number in range(1, 21)))) == {200}
        stop.set()
        await serving
    assert len(await outbox_events(database_url, published=True)) == 20
    records = await read_topics(settings, [Topics.of(settings).main(PaymentSucceeded)])
    assert {record.key for record in records} == {f"ord_{number}".encode() for number in range(1, 21)}
