"""`coursepay assignments explain ORDER_ID`: why this trainer, or why nobody, for a person."""

import asyncio
import sys
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Annotated, Any

import orjson
import typer
from rich.console import Console
from rich.table import Table

from services.commands.dlq_session import console
from services.common.database import open_database
from services.common.errors import RecordError
from services.common.runtime import EXIT_FAILED
from services.common.settings import Settings
from services.operations.decision_story import Story, Told, story_of

app = typer.Typer(help="Look at decisions about trainers.", no_args_is_help=True)
_ROLE = "coursepay_operations"
_SHORT_OF = {"minutesLacking": "minutes short", "metresTooFar": "m too far", "sessionsInTheWay": "sessions in the way"}
_STEPS = ("specialty", "gender", "slot", "capacity", "radius", "leave", "dates")


@app.callback()
def _group() -> None:
    """Nothing here changes anything."""


@app.command()
def explain(
    order_id: Annotated[str, typer.Argument(metavar="ORDER_ID")],
    *,
    json: Annotated[bool, typer.Option("--json", help="one JSON document on stdout, for programs")] = False,
) -> None:
    """Tell who teaches a purchase and why: the funnel, the best five, and what would help when there is nobody."""
    settings = Settings.from_environment()
    try:
        story = asyncio.run(_read(settings, order_id))
    except RecordError as error:
        sys.stderr.write(f"PostgreSQL could not tell: {error}\n")
        raise typer.Exit(EXIT_FAILED) from None
    if story is None:
        sys.stderr.write(f"there is no purchase of order {order_id}\n")
        raise typer.Exit(EXIT_FAILED)
    if json:
        typer.echo(orjson.dumps(asdict(story)).decode())
        return
    out = console()
    out.print(_heading(story), markup=False)
    if not story.decisions:
        out.print("Nobody has decided about it yet.")
    for decision in story.decisions:
        out.print()
        _print_decision(out, decision)


async def _read(settings: Settings, order_id: str) -> Story | None:
    async with open_database(settings, role=_ROLE, application="coursepay-explain", connections_max=1) as database:
        return await story_of(database, order_id)


def _heading(story: Story) -> str:
    wish = story.schedule
    when = f"{wish.get('timeSlot')} on weekdays {wish.get('weekdays')} from {wish.get('startDate')}"
    return (
        f"{story.order_id}: {story.sessions_total} of {story.purchase_tier} sessions of {story.course_id} for"
        f" {story.student_id}, {story.status}\nasked for: {when} ({wish.get('timeZone')}), {wish.get('mode')},"
        f" gender {wish.get('preferredGender') or 'any'}, may relax {wish.get('flexibility') or 'nothing'}"
    )


def _print_decision(out: Console, told: Told) -> None:
    reason = told.reason
    out.print(f"{told.status} by {told.decided_by} at {told.decided_at:%Y-%m-%d %H:%M:%S}Z ({told.allocation_id})")
    for sentence in _why(told):
        out.print(f"  {sentence}", markup=False)
    if funnel := reason.get("funnel"):
        left = ", ".join(f"{step} {funnel.get(step, 0)}" for step in _STEPS)
        out.print(f"  trainers left after each filter: {left}")
    if top := reason.get("top"):
        out.print(_top_table(top, told.trainer_id))


def _why(told: Told) -> Iterator[str]:
    reason = told.reason
    if told.trainer_id is not None:
        yield (
            f"{told.trainer_id}: {told.completed} sessions held, {told.scheduled} to come,"
            f" the first {told.first_session_at:%Y-%m-%d %H:%M}Z"
            if told.first_session_at
            else f"{told.trainer_id}: no session is left"
        )
        if chosen := reason.get("chosen"):
            yield (
                f"the first in order of load quarter ({chosen['load_quarter']}), then cost ({chosen['cost']}), then"
                " the hash of purchase and trainer, who was free on the dates"
            )
        if relaxation := reason.get("relaxation"):
            yield f"given up for it, as the student allows: {relaxation}"
        if moved := reason.get("movedSessions"):
            yield f"{moved} sessions are not on the first dates: leave or other sessions were there"
        if shortfall := reason.get("shortfall"):
            yield f"{shortfall} sessions are still without a date"
        return
    yield f"nobody: {reason.get('filter')} left none; last tried {told.tried_at:%Y-%m-%d %H:%M:%S}Z"
    smallest = reason.get("relaxation")
    yield f"giving up {smallest} would find somebody" if smallest else "giving up a single wish would find nobody"
    yield from (_near_miss(miss) for miss in reason.get("nearMisses", ()))
    for swap in reason.get("repairs", ()):
        yield (
            f"a swap would help: allocation {swap['allocationId']} from {swap['trainerId']} to {swap['toTrainerId']}"
        )


def _near_miss(miss: Mapping[str, Any]) -> str:
    short = [f"{miss[name]} {words}" for name, words in _SHORT_OF.items() if name in miss]
    by_how_much = f" ({', '.join(short)})" if short else ""
    return f"nearly: {miss['trainerId']} fails {' and '.join(miss['fails'])}{by_how_much}"


def _top_table(top: list[Mapping[str, Any]], chosen: str | None) -> Table:
    table = Table("trainer", "load quarter", "cost", "distance m", "known", "breadth", "tie-break", box=None)
    for one in top:
        mark = "* " if one["trainer_id"] == chosen else "  "
        cells = (one["load_quarter"], one["cost"], one["distance_m"] or "", one["continuity"], one["breadth"])
        table.add_row(f"{mark}{one['trainer_id']}", *map(str, cells), str(one["tie_break"]))
    return table
