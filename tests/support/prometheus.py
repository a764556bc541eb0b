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
_COMMITTED_RULES = str(_DEPLOYED / "rules" / "*.yml")
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
        """For each series its values since the start, those that are numbers."""
        return [(labels, [value for _, value in points]) for labels, points in await self.timed(expression)]

    async def timed(self, expression: str) -> list[tuple[Labels, list[tuple[float, float]]]]:
        """What a panel of Grafana draws: (seconds since the start, value) of each series."""
        for variable, value in _GRAFANA.items():
            expression = expression.replace(variable, value)
        span = {"start": str(self.started_at), "end": str(time.time()), "step": str(_STEP_S)}
        found = await self.ask("query_range", query=expression, **span)
        drawn = [
            (one["metric"], [(at - self.started_at, float(value)) for at, value in one["values"]])
            for one in found["result"]
        ]
        finite = [(labels, [point for point in points if math.isfinite(point[1])]) for labels, points in drawn]
        return [(labels, points) for labels, points in finite if points]

    async def peak(self, expression: str) -> float:
        """The highest value of any series so far; minus infinity when there is none."""
        return max((max(values) for _, values in await self.series(expression)), default=-math.inf)

    async def exemplars(self, series: str) -> list[Labels]:
        """The labels of those that its buckets have had."""
        span = {"start": str(self.started_at), "end": str(time.time())}
        found = await self.ask("query_exemplars", query=series, **span)
        return [exemplar["labels"] for one in found for exemplar in one["exemplars"]]

    async def firing(self) -> set[str]:
        alerts = (await self.ask("alerts"))["alerts"]
        return {alert["labels"]["alertname"] for alert in alerts if alert["state"] == "firing"}

    async def fired(self) -> set[str]:
        """What has fired at any time since the start."""
        return {labels["alertname"] for labels, _ in await self.series('ALERTS{alertstate="firing"}')}


@asynccontextmanager
async def prometheus_beside(
    system: System, directory: Path, *, rules: str = _COMMITTED_RULES
) -> AsyncIterator[Prometheus]:
    """`rules`: the pattern of their files. A missing program fails with what to do."""
    (port,) = free_ports(1)
    log = _prepare(directory, system, rules)
    options = [f"--config.file={directory}/prometheus.yml", f"--storage.tsdb.path={directory}/data"]
    options.append("--enable-feature=exemplar-storage")
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

            async def was_everywhere() -> bool:
                """What grew before the first scrape would not be seen to grow."""
                targets = (await running.ask("targets", state="active"))["activeTargets"]
                return bool(targets) and all(target["health"] != "unknown" for target in targets)

            await eventually(is_ready)
            await eventually(was_everywhere)
            yield running
    finally:
        process.terminate()
        await process.wait()
        log.close()


def _prepare(directory: Path, system: System, rules: str) -> BinaryIO:
    """Its log, opened."""
    directory.mkdir()
    (directory / "prometheus.yml").write_text(yaml.safe_dump(_configuration(system, rules)))
    return (directory / "log").open("wb")


def _configuration(system: System, rules: str) -> dict[str, Any]:
    """The committed one, with this system's addresses and a shorter breath."""
    committed = yaml.safe_load((_DEPLOYED / "prometheus.yml").read_text())
    for job in committed["scrape_configs"]:
        url = system.children[job["job_name"]].ready_url
        job["static_configs"] = [{"targets": [url.removeprefix("http://").partition("/")[0]]}]
    return {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": [rules],
        "scrape_configs": committed["scrape_configs"],
    }
