"""The demo as tests run it: the whole system as real processes, small loads, and books that must balance."""

from collections.abc import Awaitable, Callable
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from services.common.settings import Settings
from services.sandbox.catalogue import TIME_ZONE
from services.sandbox.demo.plan import Plan, make_plan
from services.sandbox.demo.show import Shown, Watcher, show
from services.sandbox.demo.system import System
from services.sandbox.stack import Stack


def plan_of(*, payments: int, rate: float, seed: int) -> Plan:
    return make_plan(payments=payments, rate=rate, seed=seed, today=datetime.now(ZoneInfo(TIME_ZONE)).date())


def settings_on(stack: Stack, directory: Path) -> Settings:
    return Settings.from_environment(
        kafka_bootstrap_servers=stack.kafka_bootstrap_servers,
        database_url=stack.database_url,
        state_directory=directory,
        # A broker on a small machine creates and deletes the topics of a run faster.
        kafka_partitions=3,
    )


async def shown_on(
    stack: Stack, directory: Path, plan: Plan, *, meanwhile: Callable[[System], Awaitable[None]]
) -> Shown:
    """Runs the demo on `stack`. `meanwhile` runs beside the load."""
    watcher = Watcher(phase=lambda _text: None, counts=lambda _journeys, _stages: None)
    return await show(settings_on(stack, directory), plan, directory=directory, watcher=watcher, meanwhile=meanwhile)


def assert_balanced(shown: Shown, plan: Plan) -> None:
    """Everything offered was confirmed and accounted for; what the demo breaks for good is all that is dead."""
    assert not shown.refused
    assert not shown.ledger.violations, shown.ledger.violations[:10]
    assert shown.good
    counts = shown.ledger.counts
    assert counts.payments == counts.confirmed == len(plan.journeys)
    assert counts.dead_lettered == sum(journey.failure == "always" for journey in plan.journeys)
    assert counts.purchases == counts.confirmed - counts.dead_lettered
