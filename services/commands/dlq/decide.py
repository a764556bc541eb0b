"""`coursepay dlq park` and `discard`: decisions, kept in the audit log. Nothing is deleted."""

import asyncio
from typing import Annotated

import typer

from services.commands.dlq.options import (
    Actor,
    Json,
    Reason,
    Worker,
    actor_or_login,
    check_reason,
    check_worker,
    takes_filter,
)
from services.commands.dlq.replay import send_plan
from services.commands.dlq.report import print_plan
from services.commands.dlq.session import console, print_json, run_verb
from services.common.errors import ConfigurationError
from services.common.runtime import EXIT_OK
from services.operations.replay.choosing.filters import Filter
from services.operations.replay.choosing.planning import make_plan
from services.operations.replay.discarding import discard as discard_letters
from services.operations.replay.execution import Orders, Tools
from services.operations.replay.replaying import Wish
from services.operations.replay.targets import PARKED

_RATE = 200.0
All = Annotated[bool, typer.Option("--all", help="yes, every unresolved one: needed when no filter is given")]
Execute = Annotated[bool, typer.Option("--execute/--dry-run", help="--dry-run: only say what it would do")]


@takes_filter
def park(
    worker: Worker,
    chosen: Filter,
    *,
    every: All = False,
    execute: Execute = True,
    reason: Reason = "",
    actor: Actor = "",
    json: Json = False,
) -> None:
    """Set dead letters aside: copied to WORKER.parked with their diagnosis, no longer unresolved."""
    wish = Wish(
        actor=actor_or_login(actor),
        reason=_check(worker, chosen, reason, every=every),
        target=PARKED,
        replays_max=0,
    )

    async def verb(tools: Tools, stop: asyncio.Event) -> int:
        made = await make_plan(tools.settings, tools.database, tools.codec, worker, chosen)
        if not execute:
            print_plan(made, wish, rate=_RATE, json=json, file=None)
            return EXIT_OK
        return await send_plan(tools, made, wish, Orders(rate=_RATE, watch_s=0), stop=stop, json=json)

    run_verb(verb)


@takes_filter
def discard(
    worker: Worker,
    chosen: Filter,
    *,
    every: All = False,
    execute: Execute = True,
    reason: Reason = "",
    actor: Actor = "",
    json: Json = False,
) -> None:
    """Decide that dead letters need no replay. They stay in the topic; `--status discarded` finds them again."""
    who, why = actor_or_login(actor), _check(worker, chosen, reason, every=every)

    async def verb(tools: Tools, _stop: asyncio.Event) -> int:
        made = await make_plan(tools.settings, tools.database, tools.codec, worker, chosen)
        planned = len(made.items) - made.skipped_done
        discarded = await discard_letters(tools.database, made, actor=who, reason=why) if execute else 0
        if json:
            print_json({"worker": worker, "executed": execute, "planned": planned, "discarded": discarded})
        elif execute:
            console().print(f"discarded {discarded} of {made.topic}; nothing was deleted", markup=False)
        else:
            console().print(f"dry run: {planned} of {made.topic} would be discarded", markup=False)
        return EXIT_OK

    run_verb(verb)


def _check(worker: str, chosen: Filter, reason: str, *, every: bool) -> str:
    """The reason. Raises ConfigurationError."""
    check_worker(worker)
    if not chosen.chooses and not every:
        raise ConfigurationError("give a filter, or --all if every unresolved dead letter is meant")
    return check_reason(reason)
