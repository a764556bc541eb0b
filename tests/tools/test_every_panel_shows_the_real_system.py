"""An empty graph is worse than none: whoever looks at it believes that all is well.

The real system runs with failures forced on it, a real Prometheus scrapes it, and every query of every dashboard must
come back with numbers; those that tell of the failures with the failures.
"""

import json
from pathlib import Path
from typing import Any

import pytest

from deploy.grafana.generate import path_of
from deploy.grafana.pages import PAGES
from services.sandbox.demo.system import System
from services.sandbox.stack import Stack
from tests.support.demo import assert_balanced, plan_of, shown_on
from tests.support.eventually import eventually
from tests.support.prometheus import Prometheus, prometheus_beside

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
    "Processes that answer": 1,
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


async def untold(prometheus: Prometheus) -> list[str]:
    """The panels that should tell of a failure and do not yet."""
    return [
        panel
        for panel, asked in queries().items()
        for title, least in TOLD.items()
        if panel.endswith(f": {title}") and max([await prometheus.peak(query) for query in asked]) < least
    ]


@pytest.mark.timeout(400)
async def test_with_retries_dead_letters_and_pendings_no_panel_is_empty(stack: Stack, tmp_path: Path) -> None:
    plan = plan_of(payments=60, rate=5, seed=7)
    firing: set[str] = set()

    async def look(system: System) -> None:
        async with prometheus_beside(system, tmp_path / "prometheus") as prometheus:

            async def is_all_there() -> bool:
                missing = [*await empty_panels(prometheus), *await untold(prometheus)]
                assert not missing, missing
                return True

            await eventually(is_all_there, within_s=150, every_s=3)
            firing.update(await prometheus.firing())

    assert_balanced(await shown_on(stack, tmp_path, plan, meanwhile=look), plan)
    assert "CoursepayNewDeadLetters" in firing
    assert "CoursepayServiceAbsent" not in firing
