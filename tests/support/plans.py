"""The plans that PostgreSQL used inside its functions, with the rows that each step really read.

By the server's own module auto_explain, which a superuser may load for a session.
"""

from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import asyncpg
import orjson

_EXPLAINING = """
LOAD 'auto_explain';
SET auto_explain.log_min_duration = 0;
SET auto_explain.log_nested_statements = on;
SET auto_explain.log_analyze = on;
SET auto_explain.log_timing = off;
SET auto_explain.log_format = json;
SET auto_explain.log_level = notice;
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A node that read `table`, by `index` or (None) as a whole. `rows`: those that it read, also the ones it threw
    away.
    """

    table: str
    index: str | None
    rows: int


class Plans:
    def __init__(self) -> None:
        self.steps: list[Step] = []

    def on(self, table: str) -> list[Step]:
        return [step for step in self.steps if step.table == table]

    def read_as_a_whole(self) -> set[str]:
        return {step.table for step in self.steps if step.index is None}

    def indexes_on(self, table: str) -> set[str | None]:
        return {step.index for step in self.on(table)}

    def rows_of(self, table: str) -> int:
        return sum(step.rows for step in self.on(table))


@asynccontextmanager
async def explained(connection: "asyncpg.Connection[asyncpg.Record]") -> AsyncIterator[Plans]:
    """The plans of what runs inside, nested statements of functions included."""
    plans = Plans()

    def hear(_: object, message: asyncpg.PostgresLogMessage) -> None:
        text = getattr(message, "message", "")
        if "plan:" in text:
            document = orjson.loads(text[text.index("{") :])
            plans.steps.extend(_steps_of(document["Plan"]))

    connection.add_log_listener(hear)
    await connection.execute(_EXPLAINING)
    try:
        yield plans
    finally:
        await connection.execute("SET auto_explain.log_min_duration = -1")
        connection.remove_log_listener(hear)


def _steps_of(node: Mapping[str, Any], heap: str | None = None) -> Iterator[Step]:
    """`heap`: the table of the bitmap whose index this may be."""
    kind = node["Node Type"]
    table = node.get("Relation Name") if kind.endswith("Scan") else None
    if kind == "Bitmap Index Scan":
        table = heap
    # A bitmap's rows are those that its index found.
    if table and kind != "Bitmap Heap Scan" and node["Actual Loops"]:
        thrown_away = node.get("Rows Removed by Filter", 0) + node.get("Rows Removed by Index Recheck", 0)
        rows = round((node["Actual Rows"] + thrown_away) * node["Actual Loops"])
        yield Step(table=table, index=node.get("Index Name"), rows=rows)
    for child in node.get("Plans", ()):
        yield from _steps_of(child, node.get("Relation Name", heap) if kind.startswith("Bitmap") else None)
