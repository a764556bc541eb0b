"""A connection that is lost inside COMMIT: nobody knows whether it took place, so the books are asked."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from services.common.database import Database, Transaction
from services.common.errors import DependencyError
from tests.support.books import fact_rows, outbox_events
from tests.support.checkout import confirm, payment_entity, send_webhook, signed_callback
from tests.support.gateway import Gateway, owner_connection, place_order

# At COMMIT the server ends the connection, before anything of the transaction lasts.
DIE_AT_COMMIT = """
CREATE FUNCTION die() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    PERFORM pg_terminate_backend(pg_backend_pid());
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER dies AFTER INSERT ON payment_facts DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION die();
"""


@pytest.fixture
def lost_answers(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """As often as it has elements, a commit takes place and its answer is lost."""
    losing: list[bool] = []
    whole = Database.transaction

    @asynccontextmanager
    async def transaction(self: Database, *, deadline_s: float | None = None) -> AsyncIterator[Transaction]:
        async with whole(self, deadline_s=deadline_s) as open_transaction:
            yield open_transaction
        if losing:
            losing.pop()
            raise DependencyError("connection was closed in the middle of operation", dependency="postgresql")

    monkeypatch.setattr(Database, "transaction", transaction)
    return losing


async def test_a_commit_that_took_place_is_a_success(
    gateway: Gateway, database_url: str, lost_answers: list[bool]
) -> None:
    order = await place_order(gateway, key="key-1")
    fields = signed_callback(gateway, order["providerOrderId"], "pay_1")
    lost_answers.append(True)
    status, told = await confirm(gateway, fields)
    # Perhaps a twin wrote it, so that nobody can say it was this one.
    assert (status, told["status"], told["replayed"]) == (200, "succeeded", True)
    assert await confirm(gateway, fields) == (200, told)
    lost_answers.append(True)
    news = payment_entity(order, status="authorized")
    assert await send_webhook(gateway, "payment.authorized", payment=news) == (
        200,
        {"received": True, "duplicate": True},
    )
    assert gateway.dependencies.outbox_written.is_set()
    assert len(await outbox_events(database_url)) == 1
    assert len(await fact_rows(database_url)) == 2


async def test_many_at_once_are_each_told_what_became_of_theirs(
    gateway: Gateway, database_url: str, lost_answers: list[bool]
) -> None:
    orders = [await place_order(gateway, key=f"key-{number}") for number in range(12)]
    callbacks = [signed_callback(gateway, order["providerOrderId"], f"pay_{n}") for n, order in enumerate(orders)]
    lost_answers.extend([True] * 3)
    answers = await asyncio.gather(*(confirm(gateway, fields) for fields in callbacks))
    assert {(status, told["status"]) for status, told in answers} == {(200, "succeeded")}
    assert [told["orderId"] for _, told in answers] == [order["orderId"] for order in orders]
    assert len(await outbox_events(database_url)) == 12


async def test_a_commit_that_did_not_take_place_is_no_success(gateway: Gateway, database_url: str) -> None:
    order = await place_order(gateway, key="key-1")
    fields = signed_callback(gateway, order["providerOrderId"], "pay_1")
    async with owner_connection(database_url) as connection:
        await connection.execute(DIE_AT_COMMIT)
        assert (await confirm(gateway, fields))[0] == 503
        assert not await fact_rows(database_url)
        await connection.execute("DROP TRIGGER dies ON payment_facts")
    status, told = await confirm(gateway, fields)
    assert (status, told["replayed"]) == (200, False)
