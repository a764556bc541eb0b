"""How fast and how well trainers are assigned.

`make bench-assignment`, or `python -m bench.bench_assignment --trainers 10000 --decisions 1000 --seeds 1`. A real
PostgreSQL. Raw lines go to bench/results/assignment.jsonl, with the load of the machine beside each; the plot to
docs/assignment-quality.svg.
"""

import argparse
import asyncio
import os
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

import orjson

from bench.assignment_plot import bars
from bench.assignment_quality import Quality, serve_world
from bench.assignment_speed import measure, seed
from bench.assignment_worlds import SUPPLY
from services.common.settings import Settings
from services.operations.migrations import migrate
from services.sandbox.stack import temporary_stack
from tests.support.databases import create_database, drop_database

RESULTS = Path(__file__).parent / "results" / "assignment.jsonl"
PLOT = Path(__file__).parents[1] / "docs" / "assignment-quality.svg"
_CONNECTIONS = 16


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trainers", type=int, nargs="*", default=[10_000, 100_000])
    parser.add_argument("--decisions", type=int, default=2000)
    parser.add_argument("--seeds", type=int, default=3, help="0: no quality")
    asked = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as directory,
        temporary_stack(Settings.from_environment(), Path(directory)) as stack,
    ):
        asyncio.run(_run(stack.database_url, asked))
    return 0


async def _run(url: str, asked: argparse.Namespace) -> None:
    found: list[Quality] = []
    for number in range(1, asked.seeds + 1):
        for supply in SUPPLY:
            for mode in ("online", "in_person"):
                async with _Fresh(url) as database_url:
                    found.append(await serve_world(database_url, mode=mode, supply=supply, seed=number))
                _record(found[-1].line())
    if found:
        shares: dict[tuple[str, str], list[float]] = {}
        for one in found:
            shares.setdefault((one.supply, one.mode), []).append(one.share)
        PLOT.write_text(bars(shares), encoding="utf-8")
    for trainers in asked.trainers:
        async with _Fresh(url) as database_url:
            settings = Settings.from_environment(database_url=database_url, database_deadline="120s")
            await seed(settings, trainers)
            for speed in await measure(
                database_url, trainers=trainers, decisions=asked.decisions, connections=_CONNECTIONS
            ):
                _record(speed.line())


class _Fresh:
    """A migrated database for one measurement."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._name = f"coursepay_bench_{os.urandom(4).hex()}"

    async def __aenter__(self) -> str:
        url = await create_database(self._url, self._name)
        await migrate(url)
        return url

    async def __aexit__(self, *_: object) -> None:
        await drop_database(self._url, self._name)


def _record(line: Mapping[str, object]) -> None:
    full = {**line, "load": round(os.getloadavg()[0], 2), "cpus": os.cpu_count()}
    text = orjson.dumps(full, option=orjson.OPT_SORT_KEYS).decode()
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()
    RESULTS.parent.mkdir(exist_ok=True)
    with RESULTS.open("a", encoding="utf-8") as file:
        file.write(f"{text}\n")


if __name__ == "__main__":
    sys.exit(main())
