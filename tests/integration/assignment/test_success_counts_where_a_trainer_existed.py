"""coursepay_assignments_total and coursepay_infeasible_assignments_total, by what the worker's handler counts."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from services.assignment_worker.handler import purchase_created
from services.assignment_worker.tally import Tally
from services.common.database import Database, open_database
from services.common.events import PurchaseCreated, order_event_id
from services.common.metrics import Metrics
from services.common.settings import Settings
from services.common.topics import Topics
from tests.support.assignment import COURSE, STUDENT, World
from tests.support.events import schedule


@pytest.fixture
async def database(world: World) -> AsyncIterator[Database]:
    settings = Settings.from_environment(database_url=world.url)
    async with open_database(settings, role="coursepay_assignment_worker", application="test") as opened:
        yield opened


@pytest.fixture
def metrics() -> Metrics:
    return Metrics("assignment-worker", Topics.of(Settings()))


async def _decide(database: Database, metrics: Metrics, purchase_id: UUID) -> None:
    now = datetime.now(UTC)
    event = PurchaseCreated(
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
    async with database.transaction() as transaction:
        await purchase_created(event, transaction, tally=Tally(metrics))


def _counted(metrics: Metrics) -> dict[str, float]:
    """Outcome or filter -> how often; what is zero is left out."""
    names = ("coursepay_assignments_total", "coursepay_infeasible_assignments_total")
    return {
        next(iter(sample.labels.values())): sample.value
        for family in metrics.registry.collect()
        for sample in family.samples
        if sample.name in names and sample.value
    }


async def test_a_purchase_that_gets_a_trainer_is_a_success_once(
    world: World, database: Database, metrics: Metrics
) -> None:
    await world.trainer("trainer-1")
    purchase = await world.purchase("order-1")
    for _ in range(2):
        await _decide(database, metrics, purchase)
    assert _counted(metrics) == {"assigned": 1}


async def test_a_purchase_that_nobody_could_teach_is_no_failure_and_has_its_own_figure(
    world: World, database: Database, metrics: Metrics
) -> None:
    await world.trainer("trainer-1", gender="male")
    await _decide(database, metrics, await world.purchase("order-1", preferredGender="female"))
    assert _counted(metrics) == {"infeasible": 1, "gender": 1}


async def test_a_purchase_whose_trainer_is_taken_is_infeasible_while_nobody_else_could_take_over(
    world: World, database: Database, metrics: Metrics
) -> None:
    await world.trainer("trainer-1")
    for number in (1, 2):
        await _decide(database, metrics, await world.purchase(f"order-{number}", student=f"student-{number}"))
    assert _counted(metrics) == {"assigned": 1, "infeasible": 1, "slot": 1}


async def test_a_purchase_that_a_better_earlier_choice_would_have_served_is_missed(
    world: World, database: Database, metrics: Metrics
) -> None:
    """The only woman was given to somebody who did not ask for one."""
    await world.trainer("woman", gender="female")
    await _decide(database, metrics, await world.purchase("order-1", student="student-1"))
    await world.trainer("man", gender="male")
    await _decide(database, metrics, await world.purchase("order-2", student="student-2", preferredGender="female"))
    assert _counted(metrics) == {"assigned": 1, "missed": 1}
