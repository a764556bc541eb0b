"""`python -m tests.pictures DIRECTORY`: two minutes of a system with troubles, then a picture of each dashboard."""

import argparse
import asyncio
import tempfile
from pathlib import Path

from deploy.grafana.pages import PAGES
from deploy.grafana.panels import Page
from services.common.settings import Settings
from services.sandbox.demo.system import System
from services.sandbox.stack import temporary_stack
from tests.pictures.drawing import Drawn, Series, draw
from tests.support.demo import plan_of, shown_on
from tests.support.prometheus import Prometheus, prometheus_beside

RATE, LASTS_S = 6, 150
KILLED_AFTER_S, KILLED_S = 60, 15


async def trouble(system: System) -> None:
    """On top of what the demo makes go wrong: the purchase worker is gone for a while, and retries come late."""
    await asyncio.sleep(KILLED_AFTER_S)
    worker = system.children["purchase-worker"]
    await worker.kill()
    await asyncio.sleep(KILLED_S)
    await worker.start()
    await worker.wait_until_ready()


async def asked(page: Page, prometheus: Prometheus, prefix: str) -> Drawn:
    """Title of a panel -> for each of its queries the legend and what it draws. `prefix`: of the run's own topics."""

    async def answer(expression: str) -> list[Series]:
        return [
            ({name: value.removeprefix(prefix) for name, value in labels.items()}, points)
            for labels, points in await prometheus.timed(expression)
        ]

    return {
        panel.title: [(legend, await answer(expression)) for expression, legend in panel.queries]
        for _, panels in page.rows
        for panel in panels
    }


async def main(directory: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="coursepay-pictures-") as name:
        own = Path(name)
        settings = Settings.from_environment()
        with temporary_stack(settings, own / "stack") as stack:

            async def look(system: System) -> None:
                async with prometheus_beside(system, own / "prometheus") as prometheus:
                    await asyncio.gather(trouble(system), asyncio.sleep(LASTS_S))
                    for page in PAGES:
                        drawn = await asked(page, prometheus, system.settings.kafka_topic_prefix)
                        draw(page, drawn, directory / f"{page.uid}.png")

            plan = plan_of(payments=RATE * LASTS_S, rate=RATE, seed=7)
            await shown_on(stack, own, plan, meanwhile=look)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("directory", type=Path)
    asyncio.run(main(parser.parse_args().directory))
