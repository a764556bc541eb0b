"""Concurrent confirmations share commits; what goes wrong with one of them stays with that one."""

import asyncio

import pytest
from structlog.testing import capture_logs

from services.gateway_api.limits import RECORDING_WRITERS_MAX
from services.gateway_api.payments import recording
from services.gateway_api.payments.recording import open_recorder
from services.gateway_api.providers.meanings import Meaning
from tests.support.books import fact_rows, outbox_events, payment_row
from tests.support.checkout import CONFIRM, confirm, signed_callback
from tests.support.eventually import eventually
from tests.support.gateway import Gateway, owner_connection, place_order

WAITING = """
SELECT count(*) FROM pg_stat_activity
 WHERE datname = current_database() AND application_name = 'test' AND wait_event_type = 'Lock'
"""
KILL_WAITING = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
 WHERE datname = current_database() AND application_name = 'test' AND wait_event_type = 'Lock'
"""


async def test_twenty_at_once_need_few_commits(gateway: Gateway, database_url: str) -> None:
    orders = [await place_order(gateway, key=f"key-{number}") for number in range(20)]
    callbacks = [signed_callback(gateway, order["providerOrderId"], f"pay_{n}") for n, order in enumerate(orders)]
    await asyncio.gather(*(confirm(gateway, fields) for fields in callbacks))
    async with owner_connection(database_url) as connection:
        commits = await connection.fetchval("SELECT count(DISTINCT xmin::text) FROM payment_facts")
        assert await connection.fetchval("SELECT count(*) FROM payment_facts") == 20
    assert commits < 20


async def test_a_payment_that_someone_holds_delays_nobody_else(gateway: Gateway, database_url: str) -> None:
    held, free = await place_order(gateway, key="key-1"), await place_order(gateway, key="key-2")
    fields = signed_callback(gateway, held["providerOrderId"], "pay_1")
    async with owner_connection(database_url) as connection:
        async with connection.transaction():
            await connection.execute("SELECT FROM payments WHERE order_id = $1 FOR UPDATE", held["orderId"])
            waiting = asyncio.create_task(gateway.http.post(gateway.url + CONFIRM, json=fields))
            for number in range(3):
                payment_id = f"pay_other{number}" if number else "pay_2"
                status, _ = await confirm(gateway, signed_callback(gateway, free["providerOrderId"], payment_id))
                assert status == (409 if number else 200)
            assert not waiting.done()
            async with await waiting as answer:
                assert (answer.status, answer.headers["Retry-After"]) == (503, "1")
        assert (await confirm(gateway, fields))[0] == 200


async def test_an_order_that_makes_no_event_fails_alone(gateway: Gateway, database_url: str) -> None:
    orders = [await place_order(gateway, key=f"key-{number}") for number in range(8)]
    async with owner_connection(database_url) as connection:
        await connection.execute("UPDATE orders SET schedule = '{}' WHERE order_id = $1", orders[3]["orderId"])
    callbacks = [signed_callback(gateway, order["providerOrderId"], f"pay_{n}") for n, order in enumerate(orders)]
    # Captured, because structlog's own traceback for people holds the loop for seconds.
    with capture_logs():
        answers = await asyncio.gather(*(confirm(gateway, fields) for fields in callbacks))
    assert [status for status, _ in answers] == [200, 200, 200, 500, 200, 200, 200, 200]
    assert len(await outbox_events(database_url)) == 7
    assert (await payment_row(database_url, orders[3]["orderId"]))["status"] == "created"


async def test_a_caller_who_hangs_up_takes_nobody_along(gateway: Gateway, database_url: str) -> None:
    recorder = open_recorder(gateway.dependencies)
    provider = gateway.dependencies.providers["razorpay"]
    orders = [await place_order(gateway, key=f"key-{number}") for number in range(6)]
    facts = [
        provider.read_callback(signed_callback(gateway, order["providerOrderId"], f"pay_{n}"), b"%d" % n)
        for n, order in enumerate(orders)
    ]
    waiting = [asyncio.create_task(recorder.record(fact)) for fact in facts if not isinstance(fact, str)]
    await asyncio.sleep(0)
    waiting[0].cancel()
    waiting[4].cancel()
    recorded = await asyncio.gather(*waiting, return_exceptions=True)
    assert [isinstance(one, asyncio.CancelledError) for one in recorded] == [True, False, False, False, True, False]
    # Whether theirs was written or not, asking again is right.
    again = await asyncio.gather(*(recorder.record(fact) for fact in facts if not isinstance(fact, str)))
    assert all(one.accepted is not None for one in again)
    assert len(await outbox_events(database_url)) == 6
    assert {fact["status"] for fact in await fact_rows(database_url)} == {Meaning.SIGNED}


async def test_a_connection_that_dies_is_a_503_and_asking_again_is_right(gateway: Gateway, database_url: str) -> None:
    order = await place_order(gateway, key="key-1")
    fields = signed_callback(gateway, order["providerOrderId"], "pay_1")
    async with owner_connection(database_url) as connection, owner_connection(database_url) as watcher:
        async with connection.transaction():
            await connection.execute("SELECT FROM payments WHERE order_id = $1 FOR UPDATE", order["orderId"])
            waiting = asyncio.create_task(confirm(gateway, fields))

            async def killed() -> bool:
                return bool(await watcher.fetchval(KILL_WAITING))

            await eventually(killed, every_s=0.01)
            assert (await waiting)[0] == 503
        assert (await confirm(gateway, fields))[0] == 200
    assert len(await outbox_events(database_url)) == 1


async def test_above_the_limit_of_waiting_ones_it_is_503_at_once(
    gateway: Gateway, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recording, "RECORDING_QUEUE_MAX", 3)
    order = await place_order(gateway, key="key-1")
    fields = signed_callback(gateway, order["providerOrderId"], "pay_1")
    async with owner_connection(database_url) as connection, connection.transaction():
        await connection.execute("SELECT FROM payments WHERE order_id = $1 FOR UPDATE", order["orderId"])
        answers = await asyncio.gather(*(confirm(gateway, fields) for _ in range(12)))
    assert {status for status, _ in answers} == {503}
    assert "/problems/overloaded" in {told["type"] for _, told in answers}
    assert (await confirm(gateway, fields))[0] == 200


async def test_many_who_wait_for_one_payment_leave_connections_for_the_others(
    gateway: Gateway, database_url: str
) -> None:
    held = [await place_order(gateway, key=f"held-{number}") for number in range(12)]
    free = await place_order(gateway, key="free")
    async with (
        owner_connection(database_url) as watcher,
        owner_connection(database_url) as connection,
        connection.transaction(),
    ):
        ids = [order["orderId"] for order in held]
        await connection.execute("SELECT FROM payments WHERE order_id = ANY ($1) FOR UPDATE", ids)
        waiting = [
            asyncio.create_task(confirm(gateway, signed_callback(gateway, order["providerOrderId"], f"pay_{n}")))
            for n, order in enumerate(held)
            for _ in range(5)
        ]

        # Half of what the writers leave; the other half is for whoever reads.
        may_wait = (gateway.settings.database_pool_max - RECORDING_WRITERS_MAX) // 2

        async def as_many_wait_as_may() -> bool:
            return bool(await watcher.fetchval(WAITING) == may_wait)

        await eventually(as_many_wait_as_may, every_s=0.01)
        assert (await confirm(gateway, signed_callback(gateway, free["providerOrderId"], "pay_free")))[0] == 200
        assert not all(one.done() for one in waiting)
        assert {status for status, _ in await asyncio.gather(*waiting)} == {503}
