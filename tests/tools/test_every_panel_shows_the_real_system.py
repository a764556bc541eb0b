"""An empty graph is worse than none: whoever looks at it believes that all is well.

The real system runs with failures forced on it and a push service that goes away for a while, a real Prometheus scrapes
it, and every query of every dashboard must come back with numbers: those that tell of the failures with the failures,
those of what did not happen with zero, and the others with more than zero.
"""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from deploy.grafana.generate import path_of
from deploy.grafana.pages import PAGES
from services.common.topics import WORKERS
from services.sandbox.demo.system import System
from services.sandbox.stack import Stack
from tests.support.demo import assert_balanced, plan_of, shown_on
from tests.support.eventually import eventually
from tests.support.prometheus import Prometheus, prometheus_beside
from tests.support.promtool import promtool

pytestmark = pytest.mark.tools

# What the plan forces on the system, as the dashboards must tell it: title of a panel -> its peak is at least this.
TOLD = {
    "Failures that may heal": 0.01,
    "Records given up": 0.01,
    "Dead letters that still matter": 1,
    "What killed them": 1,
    "Waiting by tier": 1,
    "Purchases that wait for a person": 1,
    "Purchases that fail": 0.01,
    "Confirmations per second": 1,
    "Published per second": 1,
    "Processes that answer": 1,
    # One tier of three partitions and a main topic at the least.
    "Partitions owned": 6,
    "Memory": 10_000_000,
    "Success where a trainer existed": 0.5,
    "Signing secrets in use": 1,
}
# What the push service does to the notifier while it is away.
OUTAGE = {"Workers that hold still": 1, "Dependencies that are cut off": 2}
# What does not happen in this run.
ZERO = {
    "Captures without an order",
    "Oldest purchase without a decision",
    "Paid and without a date",
    "Payments in review",
    "Progress rows that differ from a recount",
    "Records that could not be handed on",
    "Refunds and verifications given up",
    "Refused by a rate limit",
    "Replayed",
    "Topics that are not what was indexed",
    "Trainers whose load differs from a recount",
}
# On a busy machine or with luck they are anything.
ANYTHING = {
    "Assignments that fail",
    "Budget left, assignments",
    "Budget left, confirmations",
    "Budget left, purchases",
    "Events that are not in Kafka",
    "Looks that failed",
    "Oldest event that is not in Kafka",
    "Oldest overdue",
}


def queries() -> dict[str, list[str]]:
    """dashboard: panel -> its queries."""
    found: dict[str, list[str]] = {}
    for page in PAGES:
        panels: list[dict[str, Any]] = json.loads(path_of(page).read_text())["panels"]
        for panel in panels:
            if panel["type"] != "row":
                found[f"{page.uid}: {panel['title']}"] = [target["expr"] for target in panel["targets"]]
    return found


async def empty_panels(prometheus: Prometheus) -> list[str]:
    return [
        f"{panel}: {query}"
        for panel, asked in queries().items()
        for query in asked
        if not await prometheus.series(query)
    ]


async def wrong_panels(prometheus: Prometheus) -> list[str]:
    """Those whose peak is not (yet) what it must be, and what it is."""
    wrong = []
    for panel, asked in queries().items():
        title = panel.partition(": ")[2]
        peak = max([await prometheus.peak(query) for query in asked])
        least = (TOLD | OUTAGE).get(title, 0)
        as_it_must = peak == 0 if title in ZERO else peak > 0 and peak >= least
        if title not in ANYTHING and not as_it_must:
            wrong.append(f"{panel}: {peak:g}")
    return wrong


@asynccontextmanager
async def push_service_away(system: System) -> AsyncIterator[None]:
    """It answers with 503 only; afterwards as before."""
    url = f"{system.sandbox_url}/control/failures"
    async with aiohttp.ClientSession(raise_for_status=True) as http:
        async with http.get(url) as answer:
            before = await answer.json()
        await http.put(url, json=before | {"push": {"errorRate": 1}})
        try:
            yield
        finally:
            await http.put(url, json=before)


async def lint_of(system: System) -> dict[str, str]:
    """What promtool says against that which each service exposes."""
    said = {}
    async with aiohttp.ClientSession(raise_for_status=True) as http:
        for name, child in system.children.items():
            if name != "sandbox":
                async with http.get(child.ready_url.replace("/health/ready", "/metrics")) as answer:
                    said[name] = promtool("check", "metrics", stdin=await answer.read()).strip()
    return said


def test_every_title_that_is_told_of_is_there() -> None:
    titles = {panel.partition(": ")[2] for panel in queries()}

    assert {*TOLD, *OUTAGE, *ZERO, *ANYTHING} <= titles


@pytest.mark.timeout(400)
async def test_with_retries_dead_letters_and_an_outage_each_panel_tells_it(stack: Stack, tmp_path: Path) -> None:
    plan = plan_of(payments=60, rate=4, seed=7)
    firing: set[str] = set()
    lint: dict[str, str] = {}

    async def look(system: System) -> None:
        async with prometheus_beside(system, tmp_path / "prometheus") as prometheus:

            async def is_told() -> bool:
                return not [
                    panel for panel in await wrong_panels(prometheus) if any(title in panel for title in OUTAGE)
                ]

            async def is_all_there() -> bool:
                missing = [*await empty_panels(prometheus), *await wrong_panels(prometheus)]
                assert not missing, missing
                return True

            async with push_service_away(system):
                await eventually(is_told, within_s=60, every_s=1)
            await eventually(is_all_there, within_s=150, every_s=3)
            firing.update(await prometheus.firing())
            lint.update(await lint_of(system))

    assert_balanced(await shown_on(stack, tmp_path, plan, meanwhile=look), plan)
    assert "CoursepayNewDeadLetters" in firing
    assert "CoursepayServiceAbsent" not in firing
    assert lint == dict.fromkeys(("gateway", *WORKERS, "operations"), "")
