"""A real Prometheus beside a running system, with the committed rules, and what it answers."""

import asyncio
import math
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import aiohttp
import pytest
import yaml

from services.sandbox.demo.system import System
from services.sandbox.ports import free_ports
from tests.support.eventually import eventually
from tests.support.tidy import ROOT

_DEPLOYED = ROOT / "deploy" / "prometheus"
_STEP_S = 1
# What Grafana would put in: here for scrapes every second, and for a run of a minute or two.
_GRAFANA = {"$__rate_interval": "15s", "$__range": "5m"}
Labels = dict[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Prometheus:
    url: str
    http: aiohttp.ClientSession
    started_at: float

    async def ask(self, path: str, **parameters: str) -> Any:  # noqa: ANN401 - JSON
        async with self.http.get(f"{self.url}/api/v1/{path}", params=parameters) as answer:
            told = await answer.json()
        assert told["status"] == "success", told
        return told["data"]

    async def series(self, expression: str) -> list[tuple[Labels, list[float]]]:
        """What a panel of Grafana draws: for each series its values since the start, those that are numbers."""
        for variable, value in _GRAFANA.items():
            expression = expression.replace(variable, value)
        span = {"start": str(self.started_at), "end": str(time.time()), "step": str(_STEP_S)}
        found = await self.ask("query_range", query=expression, **span)
        drawn = [(one["metric"], [float(value) for _, value in one["values"]]) for one in found["result"]]
        finite = [(labels, [value for value in values if math.isfinite(value)]) for labels, values in drawn]
        return [(labels, values) for labels, values in finite if values]

    async def peak(self, expression: str) -> float:
        """The highest value of any series so far; minus infinity when there is none."""
        return max((max(values) for _, values in await self.series(expression)), default=-math.inf)

    async def firing(self) -> set[str]:
        alerts = (await self.ask("alerts"))["alerts"]
        return {alert["labels"]["alertname"] for alert in alerts if alert["state"] == "firing"}


@asynccontextmanager
async def prometheus_beside(system: System, directory: Path) -> AsyncIterator[Prometheus]:
    """A missing program fails with what to do."""
    (port,) = free_ports(1)
    log = _prepare(directory, system)
    options = [f"--config.file={directory}/prometheus.yml", f"--storage.tsdb.path={directory}/data"]
    try:
        process = await asyncio.create_subprocess_exec(
            "prometheus", *options, f"--web.listen-address=127.0.0.1:{port}", stdout=log, stderr=log
        )
    except FileNotFoundError:
        pytest.fail("prometheus is missing: sudo bash deploy/apt-packages.sh", pytrace=False)
    try:
        async with aiohttp.ClientSession() as http:
            running = Prometheus(url=f"http://127.0.0.1:{port}", http=http, started_at=time.time())

            async def is_ready() -> bool:
                try:
                    async with http.get(f"{running.url}/-/ready") as answer:
                        return answer.status == 200
                except aiohttp.ClientError:
                    return False

            await eventually(is_ready)
            yield running
    finally:
        process.terminate()
        await process.wait()
        log.close()


def _prepare(directory: Path, system: System) -> BinaryIO:
    """Its log, opened."""
    directory.mkdir()
    (directory / "prometheus.yml").write_text(yaml.safe_dump(_configuration(system)))
    return (directory / "log").open("wb")


def _configuration(system: System) -> dict[str, Any]:
    """The committed one, with this system's addresses and a shorter breath."""
    committed = yaml.safe_load((_DEPLOYED / "prometheus.yml").read_text())
    for job in committed["scrape_configs"]:
        url = system.children[job["job_name"]].ready_url
        job["static_configs"] = [{"targets": [url.removeprefix("http://").partition("/")[0]]}]
    return {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": [str(_DEPLOYED / "rules" / "*.yml")],
        "scrape_configs": committed["scrape_configs"],
    }
