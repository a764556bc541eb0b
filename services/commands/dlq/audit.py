"""`coursepay dlq audit` and `verify`: who replayed what and why, and what became of each record."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from typing import Annotated, Any

import typer
from rich.table import Table

from services.commands.dlq.options import Json
from services.commands.dlq.session import console, print_json, run_verb
from services.common.runtime import EXIT_OK
from services.operations.dead_letter_index import DeadLetterIndex
from services.operations.replay.audit import Audit, audit_runs
from services.operations.replay.execution import Tools, watch
from services.operations.replay.fates import RecordFate, fates_of
from services.operations.replay.refusals import EXIT_GUARD, EXIT_PARTIAL
from services.operations.replay.runs import Run, find_run
from services.operations.replay.steady import steadily
from services.operations.replay.whereabouts import Trail

_UNSETTLED = frozenset({"back_in_dlq", "pending", "failed", "unsent"})
_SHOWN_MAX = 50


def audit(
    run_id: Annotated[str | None, typer.Argument(metavar="[RUN]", help="one run in detail")] = None,
    *,
    json: Json = False,
) -> None:
    """All runs, and whether the chain of their digests holds (exit code 4 if it does not)."""

    async def verb(tools: Tools, _stop: asyncio.Event) -> int:
        found = await audit_runs(tools.database)
        if run_id is not None:
            async with tools.database.connection() as connection:
                run = await find_run(connection, run_id)
            found = Audit(runs=[run], broken=[one for one in found.broken if str(run.id) in one])
        if json:
            print_json({"runs": [_run_json(run) for run in found.runs], "broken": list(found.broken)})
        else:
            _print_audit(found, detailed=run_id is not None)
        return EXIT_GUARD if found.broken else EXIT_OK

    run_verb(verb)


def verify(
    run_id: Annotated[str, typer.Argument(metavar="RUN", help="its id or the start of it")],
    *,
    wait: Annotated[float, typer.Option(min=0, help="seconds to wait for records that are under way")] = 0.0,
    json: Json = False,
) -> None:
    """What became of each record of a run: done, back in the dead letters, pending. Exit code 5 unless all is well."""

    async def verb(tools: Tools, stop: asyncio.Event) -> int:
        async with tools.database.connection() as connection:
            run = await find_run(connection, run_id)
        if wait:
            await watch(tools, run, within_s=wait, stop=stop)
        found = await Trail(tools.settings, run).look()
        await steadily(DeadLetterIndex(tools.settings, tools.database, tools.codec).update)
        async with tools.database.connection() as connection:
            fates = await fates_of(connection, run, found)
        counts: Counter[str] = Counter(fate.fate for fate in fates)
        if json:
            print_json(_verdict_json(run, fates, counts))
        else:
            _print_fates(run, fates, counts)
        return EXIT_PARTIAL if _UNSETTLED & set(counts) else EXIT_OK

    run_verb(verb)


def _print_audit(found: Audit, *, detailed: bool) -> None:
    out = console()
    table = Table(title="replays")
    for name in ("run", "began", "who", "topic", "to", "state", "planned", "replayed", "back", "why"):
        table.add_column(name, overflow="fold")
    for run in found.runs:
        began = run.started_at.isoformat(timespec="seconds")
        shown = str(run.id) if detailed else str(run.id)[:8]
        figures = (str(run.planned), str(run.counts.replayed), str(run.counts.back_in_dlq))
        table.add_row(shown, began, run.actor, run.topic, run.target, run.state, *figures, run.reason)
    out.print(table)
    if detailed:
        for name, value in _run_json(found.runs[0]).items():
            out.print(f"{name}: {value}", markup=False, soft_wrap=True)
    for sentence in found.broken:
        out.print(sentence, style="bold red", markup=False)
    if not found.broken:
        out.print("The chain of digests holds.", style="green")


def _print_fates(run: Run, fates: Sequence[RecordFate], counts: Counter[str]) -> None:
    out = console()
    table = Table(title=f"run {run.id}", show_header=False)
    for fate, count in sorted(counts.items()):
        table.add_row(fate.replace("_", " "), str(count), style="red" if fate in _UNSETTLED else "green")
    already = run.planned - sum(counts.values())
    if already:
        table.add_row("with another run", str(already))
    out.print(table)
    for one in [one for one in fates if one.fate in _UNSETTLED or one.detail is not None][:_SHOWN_MAX]:
        place = f"{one.place[0]}:{one.place[1]}"
        out.print(f"{place} {one.order_id or '-'} {one.fate} {one.detail or ''}", markup=False)


def _run_json(run: Run) -> dict[str, Any]:
    return {**{name: value for name, value in asdict(run).items() if name != "counts"}, **asdict(run.counts)}


def _verdict_json(run: Run, fates: Sequence[RecordFate], counts: Counter[str]) -> dict[str, Any]:
    names = ("done", "back_in_dlq", "pending", "unknown", "parked", "skipped_done", "failed", "unsent")
    return {
        "run": str(run.id),
        "worker": run.worker,
        "planned": run.planned,
        **{name: counts.get(name, 0) for name in names},
        "already": run.planned - sum(counts.values()),
        "records": [
            {
                "partition": fate.place[0],
                "offset": fate.place[1],
                "target": fate.target,
                "order_id": fate.order_id,
                "event_type": fate.event_type,
                "fate": fate.fate,
                "detail": fate.detail,
            }
            for fate in fates
        ],
    }
