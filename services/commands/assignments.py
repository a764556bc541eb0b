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

from services.commands.dlq.session import console
from services.common.database import open_database
from services.common.errors import RecordError
from services.common.runtime import EXIT_FAILED
from services.common.settings import Settings
from services.operations.decision_story import Story, Told, story_of

app = typer.Typer(help="Look at decisions about trainers.", no_args_is_help=True)
_ROLE = "coursepay_operations"
_SHORT_OF = {"minutesLacking": "minutes short", "metresTooFar": "m too far", "sessionsInTheWay": "sessions in the way"}
_FILTERS = ("specialty", "gender", "slot", "capacity", "radius")
_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_LOADS = ("below a quarter", "a quarter", "half", "three quarters", "full")


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
    days = " ".join(_DAYS[day - 1] for day in wish.get("weekdays", ()))
    when = f"{days} {wish.get('timeSlot')} from {wish.get('startDate')}"
    allowed = ", ".join(wish.get("flexibility") or ("nothing",))
    return (
        f"{story.order_id}: {story.sessions_total} of {story.purchase_tier} sessions of {story.course_id} for"
        f" {story.student_id}, {story.status}\nasked for: {when} ({wish.get('timeZone')}), {wish.get('mode')},"
        f" gender {wish.get('preferredGender') or 'any'}, may relax {allowed}"
    )


def _print_decision(out: Console, told: Told) -> None:
    reason = told.reason
    out.print(f"{told.status} by {told.decided_by} at {told.decided_at:%Y-%m-%d %H:%M:%S}Z ({told.allocation_id})")
    for sentence in _why(told):
        out.print(f"  {sentence}", markup=False)
    if funnel := reason.get("funnel"):
        left = ", ".join(f"{step} {funnel.get(step, 0)}" for step in _FILTERS)
        out.print(f"  trainers left after each filter: {left}")
        out.print(
            f"  then in order: {funnel.get('leave', 0)} without leave, {funnel.get('dates', 0)} free on the dates"
        )
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
                f"the first, in order of load ({_LOADS[chosen['load_quarter']]}), then cost ({chosen['cost']}), then"
                " dice thrown once for this purchase, who was free on the dates"
            )
        if relaxation := reason.get("relaxation"):
            yield f"given up for it, as the student allows: {relaxation}"
        if moved := reason.get("movedSessions"):
            yield f"{moved} sessions are not on the first dates: leave or other sessions were there"
        if shortfall := reason.get("shortfall"):
            yield f"{shortfall} sessions are still without a date"
        return
    if departed := reason.get("departed"):
        yield f"{departed} has left, and a person was to look before anybody takes over"
        return
    yield f"nobody: {reason.get('filter')} left none; last tried {told.tried_at:%Y-%m-%d %H:%M:%S}Z"
    if reason.get("filter") == "slot" and reason.get("funnel", {}).get("radius"):
        yield "those who work at that time and fit otherwise have other sessions then"
    yield from _hint(reason)
    yield from (_near_miss(miss) for miss in reason.get("nearMisses", ()))
    for swap in reason.get("repairs", ()):
        yield (
            f"a swap would help: allocation {swap['allocationId']} from {swap['trainerId']} to {swap['toTrainerId']}"
        )


def _hint(reason: Mapping[str, Any]) -> Iterator[str]:
    smallest = reason.get("relaxation")
    if reason.get("cutShort"):
        yield "not all were looked at, there were too many: somebody may be free, and less may be enough"
    if smallest:
        yield f"giving up {smallest} would find somebody"
    elif not reason.get("cutShort"):
        yield "giving up a single wish would find nobody"


def _near_miss(miss: Mapping[str, Any]) -> str:
    short = [f"{miss[name]} {words}" for name, words in _SHORT_OF.items() if name in miss]
    by_how_much = f" ({', '.join(short)})" if short else ""
    return f"nearly: {miss['trainerId']} fails {' and '.join(miss['fails'])}{by_how_much}"


def _top_table(top: list[Mapping[str, Any]], chosen: str | None) -> Table:
    """In the order in which they are tried. A cost is the way and half the breadth, less what a known face is worth."""
    table = Table("  trainer", "load", "cost", "way", "known", "breadth", box=None)
    for one in top:
        mark = "* " if one["trainer_id"] == chosen else "  "
        table.add_row(
            f"{mark}{one['trainer_id']}",
            _LOADS[one["load_quarter"]],
            str(one["cost"]),
            "-" if one["distance_m"] is None else f"{one['distance_m'] / 1000:.1f} km",
            "yes" if one["continuity"] else "no",
            f"{one['breadth']:.2f}",
        )
    return table
