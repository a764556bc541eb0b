from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest

from services.assignment_worker.handler import purchase_adjusted, purchase_created
from services.assignment_worker.tally import Tally
from services.common.database import Database, open_database
from services.common.errors import TransientError
from services.common.events import (
    AllocationPending,
    PurchaseAdjusted,
    PurchaseCreated,
    TrainerAssigned,
    adjustment_event_id,
    allocation_event_id,
    order_event_id,
)
from services.common.metrics import Metrics
from services.common.settings import Settings
from services.common.topics import Topics
from services.engine.outcomes import Done, Outcome, Retry
from tests.support.assignment import COURSE, STUDENT, World
from tests.support.events import schedule


@pytest.fixture
async def database(world: World) -> AsyncIterator[Database]:
    """With the grants of the assignment worker."""
    settings = Settings.from_environment(database_url=world.url)
    async with open_database(settings, role="coursepay_assignment_worker", application="test") as opened:
        yield opened


def _created(purchase_id: UUID) -> PurchaseCreated:
    now = datetime.now(UTC)
    return PurchaseCreated(
        event_id=order_event_id("PurchaseCreated", "order-1"),
        purchase_id=purchase_id,
        order_id="order-1",
        student_id=STUDENT,
        course_id=COURSE,
        purchase_tier=10,
        purchase_date=now,
        expiry_date=now + timedelta(days=180),
        schedule=schedule(),
    )


async def _handle(database: Database, event: PurchaseCreated | PurchaseAdjusted) -> Outcome:
    async with database.transaction() as transaction:
        if isinstance(event, PurchaseCreated):
            tally = Tally(Metrics("assignment-worker", Topics.of(Settings())))
            return await purchase_created(event, transaction, tally=tally)
        return await purchase_adjusted(event, transaction)


def _adjusted(purchase_id: UUID, *, status: str = "active", sessions_total: int = 10) -> PurchaseAdjusted:
    return PurchaseAdjusted(
        event_id=adjustment_event_id("PurchaseAdjusted", "order-1", 1),
        purchase_id=purchase_id,
        order_id="order-1",
        student_id=STUDENT,
        course_id=COURSE,
        status=status,
        sessions_total=sessions_total,
        sequence=1,
    )


async def test_a_repeated_record_emits_the_same_event(world: World, database: Database) -> None:
    await world.trainer("trainer-1")
    event = _created(await world.purchase("order-1"))
    first = await _handle(database, event)
    assert isinstance(first, Done)
    [assigned] = first.emit
    assert isinstance(assigned, TrainerAssigned)
    assert (first.result, first.since) == ("ok", event.purchase_date)
    assert (assigned.order_id, assigned.trainer_id, assigned.session_count) == ("order-1", "trainer-1", 10)
    assert assigned.event_id == allocation_event_id("TrainerAssigned", assigned.allocation_id, 1)
    assert assigned.first_session_at == (await world.starts(event.purchase_id))[0]
    # Also after the sessions have changed: the event of a decision stays what it was.
    await world.adjust(event.purchase_id, sessions_total=5)
    again = await _handle(database, event)
    assert isinstance(again, Done)
    assert (again.result, again.emit) == ("duplicate", first.emit)


async def test_nobody_found_is_pending_and_no_error(world: World, database: Database) -> None:
    event = _created(await world.purchase("order-1"))
    outcome = await _handle(database, event)
    assert isinstance(outcome, Done)
    [pending] = outcome.emit
    assert isinstance(pending, AllocationPending)
    assert (outcome.result, pending.reason) == ("pending", "specialty")
    assert pending.event_id == allocation_event_id("AllocationPending", pending.allocation_id, 1)
    again = await _handle(database, event)
    assert isinstance(again, Done)
    assert (again.result, again.emit) == ("duplicate", outcome.emit)


async def test_a_purchase_that_is_not_there_yet_is_retried(database: Database) -> None:
    for event in (_created(uuid4()), _adjusted(uuid4())):
        outcome = await _handle(database, event)
        assert isinstance(outcome, Retry)
        assert isinstance(outcome.error, TransientError)


async def test_the_row_decides_not_the_event(world: World, database: Database) -> None:
    await world.trainer("trainer-1")
    purchase = await world.purchase("order-1")
    await world.connection.execute("UPDATE student_course_purchases SET status = 'revoked'")
    assert await _handle(database, _adjusted(purchase)) == Done(result="duplicate")
    late = await _handle(database, _created(purchase))
    assert isinstance(late, Done)
    assert (late.result, late.emit) == ("duplicate", ())
    await world.connection.execute("UPDATE student_course_purchases SET status = 'active', sessions_total = 4")
    outcome = await _handle(database, _adjusted(purchase, status="revoked", sessions_total=9))
    assert isinstance(outcome, Done)
    assert [type(event) for event in outcome.emit] == [TrainerAssigned]
    assert len(await world.sessions(purchase)) == 4


async def test_an_adjustment_of_an_allocation_tells_the_decision_that_stands(world: World, database: Database) -> None:
    await world.trainer("trainer-1")
    purchase = await world.purchase("order-1")
    first = await _handle(database, _created(purchase))
    assert isinstance(first, Done)
    await world.connection.execute("UPDATE student_course_purchases SET sessions_total = 6")
    for result in ("ok", "duplicate"):
        outcome = await _handle(database, _adjusted(purchase, sessions_total=6))
        assert isinstance(outcome, Done)
        assert (outcome.result, outcome.emit) == (result, first.emit)
    await world.connection.execute("UPDATE student_course_purchases SET status = 'revoked'")
    revoked = await _handle(database, _adjusted(purchase, status="revoked"))
    assert revoked == Done(result="ok")
