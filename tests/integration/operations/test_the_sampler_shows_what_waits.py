"""The sampler's figures in /metrics, and what it does when it cannot see."""

import asyncio
from datetime import UTC, datetime
from uuid import uuid4

import pytest

from services.common.database import Database
from services.common.errors import DependencyError
from services.common.metrics import Metrics
from services.common.settings import Settings
from services.common.topics import Topics
from services.engine.records import OutgoingRecord
from services.operations.loops import Loop
from services.operations.sampler import Sampler
from services.operations.stock import count_stock
from services.sandbox.ports import free_ports
from tests.support.eventually import eventually
from tests.support.gateway import owner_connection
from tests.support.kafka import send
from tests.support.rows import insert

_OUTBOX = """
INSERT INTO outbox (order_id, order_seq, event_id, type, version, payload, created_at, published_at)
VALUES ($1, $2, $3, 'PaymentSucceeded', 1, '', clock_timestamp() - make_interval(secs => $4), $5)
"""
_PURCHASE = """
INSERT INTO student_course_purchases
       (order_id, student_id, course_id, purchase_tier, sessions_total, purchase_date, expiry_date)
VALUES ('ord_1', 'student-1', 'course-0001', 10, 10, now(), now() + interval '1 day') RETURNING id
"""
_PENDING = """
INSERT INTO trainer_allocations (purchase_id, student_id, course_id, status, created_at)
VALUES ($1, 'student-1', 'course-0001', 'pending', now() - interval '90 seconds')
"""

PAID_BY_STAFF = '{"paymentId": "pay_1", "amountMinor": null}'


def metrics_of(settings: Settings) -> Metrics:
    return Metrics("operations", Topics.of(settings))


def value(metrics: Metrics, name: str, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(name, labels)


async def sampled(sampler: Sampler) -> None:
    """A broker that is busy moves coordinators; the service looks again in five seconds."""

    async def has_looked() -> bool:
        try:
            await sampler.sample()
        except DependencyError:
            return False
        return True

    await eventually(has_looked, every_s=1, within_s=60)


async def test_the_figures_are_those_of_the_database_and_the_cluster(
    settings: Settings, database: Database, owner: Database
) -> None:
    topics, metrics = Topics.of(settings), metrics_of(settings)
    async with owner.transaction() as transaction:
        await transaction.execute(_OUTBOX, "ord_1", 1, uuid4(), 60, None)
        await transaction.execute(_OUTBOX, "ord_1", 2, uuid4(), 5, None)
        await transaction.execute(_PENDING, await transaction.fetchval(_PURCHASE))
    record = OutgoingRecord(topic=topics.retry("purchase-worker", "2s"), key=b"ord_1", value=b"")
    await send(settings, [record] * 3)
    await sampled(Sampler(settings, database, metrics))
    assert value(metrics, "coursepay_outbox_pending_rows") == 2
    assert 60 <= (value(metrics, "coursepay_outbox_oldest_pending_age_seconds") or 0) < 120
    assert value(metrics, "coursepay_pending_allocations") == 1
    assert 90 <= (value(metrics, "coursepay_pending_allocations_oldest_age_seconds") or 0) < 150
    assert value(metrics, "coursepay_retry_backlog_messages", worker="purchase-worker", tier="2s") == 3
    assert value(metrics, "coursepay_retry_backlog_messages", worker="purchase-worker", tier="4s") == 0
    topic, group = f"{topics.prefix}payment.succeeded", topics.group("purchase-worker")
    assert value(metrics, "coursepay_consumer_lag_messages", topic=topic, group=group) == 0
    assert value(metrics, "coursepay_dlq_unresolved_messages", worker="notifier") == 0
    assert value(metrics, "coursepay_sampler_last_success_timestamp_seconds")


async def test_a_frozen_purchase_waits_for_its_dispute_and_not_for_a_trainer(
    database: Database, owner: Database
) -> None:
    async with owner.transaction() as transaction:
        await transaction.execute(_PENDING, await transaction.fetchval(_PURCHASE))
        await transaction.execute("UPDATE student_course_purchases SET status = 'frozen'")
    stock = await count_stock(database)
    assert (stock.pending_allocations, stock.pending_oldest_s) == (0, 0)


async def test_payments_that_wait_for_a_person_are_counted_until_they_are_settled(
    settings: Settings, database: Database, database_url: str
) -> None:
    metrics = metrics_of(settings)
    names = ("coursepay_payments_in_review", "coursepay_payment_tasks_given_up", "coursepay_captures_without_order")

    async def figures() -> list[float | None]:
        await sampled(Sampler(settings, database, metrics))
        return [value(metrics, name) for name in names]

    async with owner_connection(database_url) as connection:
        review = await insert(connection, "payments", status="review")
        order_id = review["order_id"]
        task = {"order_id": order_id, "kind": "refund", "done_at": datetime.now(UTC)}
        await insert(connection, "payment_tasks", **task, subject="pay_1", last_error="refused")
        await insert(connection, "payment_tasks", **task, subject="pay_2")
        await insert(connection, "payment_tasks", **task | {"kind": "verify"}, last_error="still authorized")
        money = {"order_id": None, "payment_id": "pay_3", "provider_order_id": "order_of_nobody"}
        for source in ("webhook", "fetch"):
            await insert(connection, "payment_facts", **money, status="captured", source=source, entity_id=source)
    assert await figures() == [1, 1, 1]
    async with owner_connection(database_url) as connection:
        await connection.execute("UPDATE payments SET status = 'failed'")
        again = await insert(
            connection, "payment_tasks", order_id=order_id, kind="refund", subject="by-staff", detail=PAID_BY_STAFF
        )
        back = {"order_id": None, "payment_id": "pay_3", "status": "refund_processed", "entity_id": "rfnd_3"}
        await insert(connection, "payment_facts", **back)
    assert await figures() == [0, 0, 0]
    async with owner_connection(database_url) as connection:
        # Given up again.
        await connection.execute(
            "UPDATE payment_tasks SET done_at = now(), last_error = 'refused' WHERE id = $1", again["id"]
        )
        assert (await figures())[1] == 2
        await insert(
            connection, "payment_facts", order_id=order_id, payment_id="pay_1", status="refund_processed", entity_id="r"
        )
    assert await figures() == [0, 0, 0]


async def test_a_success_that_nobody_confirmed_counts_until_somebody_does(
    settings: Settings, database: Database, database_url: str
) -> None:
    metrics = metrics_of(settings)
    async with owner_connection(database_url) as connection:
        paid = await insert(
            connection, "payments", status="succeeded", payment_id="pay_1", confirmed_at=datetime.now(UTC)
        )
        of_order = {"order_id": paid["order_id"]}
        done = {"done_at": datetime.now(UTC), "last_error": "away"}
        await insert(connection, "payment_tasks", **of_order, kind="verify", **done)
        await sampled(Sampler(settings, database, metrics))
        assert value(metrics, "coursepay_payment_tasks_given_up") == 1
        await insert(connection, "payment_facts", **of_order, payment_id="pay_1", status="captured", entity_id="pay_1")
    await sampled(Sampler(settings, database, metrics))
    assert value(metrics, "coursepay_payment_tasks_given_up") == 0


async def test_a_cause_is_counted_while_its_letters_matter(
    settings: Settings, database: Database, database_url: str
) -> None:
    metrics = metrics_of(settings)
    sampler = Sampler(settings, database, metrics)
    of_cause = {"worker": "purchase-worker", "error_class": "CheckViolationError"}
    async with owner_connection(database_url) as connection:
        for _ in range(2):
            await insert(connection, "dead_letters")
        await sampled(sampler)
        assert value(metrics, "coursepay_dlq_unresolved_causes", **of_cause) == 2
        await connection.execute("UPDATE dead_letters SET status = 'resolved', settled_at = now()")
        await sampled(sampler)
    assert value(metrics, "coursepay_dlq_unresolved_causes", **of_cause) is None
    assert value(metrics, "coursepay_dlq_unresolved_messages", worker="purchase-worker") == 0


async def test_a_cluster_that_is_away_hides_no_outbox_and_is_counted(
    settings: Settings, database: Database, owner: Database
) -> None:
    async with owner.transaction() as transaction:
        await transaction.execute(_OUTBOX, "ord_1", 1, uuid4(), 0, None)
    (nobody,) = free_ports(1)
    away = settings.model_copy(update={"kafka_bootstrap_servers": f"127.0.0.1:{nobody}"})
    metrics = metrics_of(settings)
    sampler = Sampler(away, database, metrics)
    with pytest.raises(DependencyError):
        await sampler.sample()
    assert value(metrics, "coursepay_outbox_pending_rows") == 1
    assert not value(metrics, "coursepay_sampler_last_success_timestamp_seconds")


async def test_a_round_that_fails_is_counted_and_the_next_one_comes(settings: Settings) -> None:
    metrics, stop = metrics_of(settings), asyncio.Event()
    rounds = 0

    async def round_() -> None:
        nonlocal rounds
        rounds += 1
        if rounds == 1:
            raise DependencyError("away", dependency="kafka")
        if rounds == 2:
            await asyncio.Event().wait()
        stop.set()

    loop = Loop("sampler", round_, every_s=0.01, within_s=0.05, metrics=metrics)
    await asyncio.wait_for(loop.run(stop), timeout=10)
    assert rounds == 3
    assert value(metrics, "coursepay_sampler_errors_total") == 2
    assert loop.has_succeeded
