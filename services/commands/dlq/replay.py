"""`coursepay dlq plan` and `replay`: a list that is frozen, then sent; a dry run unless told otherwise."""

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Annotated, NoReturn

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
from services.commands.dlq.report import print_plan, print_report, show_progress
from services.commands.dlq.session import console, run_verb
from services.common.errors import ConfigurationError
from services.common.runtime import EXIT_OK
from services.operations.replay.choosing.filters import Filter
from services.operations.replay.choosing.plan import Plan, read_plan
from services.operations.replay.choosing.planning import make_plan
from services.operations.replay.execution import Orders, Tools
from services.operations.replay.guards import StopOn, parse_stop_on
from services.operations.replay.refusals import BadFilterError
from services.operations.replay.replaying import Wish, replay_plan, resume_run
from services.operations.replay.runs import find_run
from services.operations.replay.targets import FIRST_TIER, ORIGIN, TARGETS, Target

_RATE = 20.0
_REPLAYS_MAX = 3


@takes_filter
def plan(
    worker: Worker,
    chosen: Filter,
    *,
    out: Annotated[Path | None, typer.Option(help="where to write the plan, for `replay --plan`")] = None,
    rate: Annotated[float, typer.Option(min=0.01, help="records per second, for the estimate")] = _RATE,
    json: Json = False,
) -> None:
    """Resolve filters into exactly these records, as of now. Nothing is sent."""
    check_worker(worker)

    async def verb(tools: Tools, _stop: asyncio.Event) -> int:
        made = await make_plan(tools.settings, tools.database, tools.codec, worker, chosen)
        if out is not None:
            out.write_bytes(made.to_bytes())
        wish = Wish(actor="", reason="", target=FIRST_TIER, replays_max=_REPLAYS_MAX)
        print_plan(made, wish, rate=rate, json=json, file=out)
        return EXIT_OK

    run_verb(verb)


@takes_filter
def replay(
    chosen: Filter,
    worker: Annotated[str | None, typer.Argument(metavar="[WORKER]", help="with filters; or --plan")] = None,
    *,
    plan: Annotated[Path | None, typer.Option(exists=True, dir_okay=False, help="of `dlq plan --out`")] = None,
    resume: Annotated[str | None, typer.Option(metavar="RUN", help="go on with a run")] = None,
    execute: Annotated[bool, typer.Option("--execute", help="without it nothing is sent")] = False,
    to: Annotated[str, typer.Option(help=" or ".join(TARGETS))] = FIRST_TIER,
    every_subscriber: Annotated[bool, typer.Option(help="with --to origin: yes, all of them get it")] = False,
    rate: Annotated[float | None, typer.Option(min=0.01, help=f"records per second, {_RATE:g}")] = None,
    canary: Annotated[int, typer.Option(min=0, help="so many first; the rest when these are done")] = 0,
    canary_wait: Annotated[float, typer.Option(min=0.1, help="seconds that the canary has")] = 60.0,
    records_max: Annotated[int | None, typer.Option("--max", min=1, help="send at most so many now")] = None,
    max_replays: Annotated[int, typer.Option(min=0, help="replayed that often already: parked")] = _REPLAYS_MAX,
    stop_on: Annotated[
        list[str] | None, typer.Option(help="back-in-dlq=N, dlq-growth=N or error-rate=P%; several times")
    ] = None,
    watch: Annotated[float, typer.Option(min=0, help="seconds to look at what becomes of the records")] = 60.0,
    reason: Reason = "",
    actor: Actor = "",
    json: Json = False,
) -> None:
    """Send dead letters back to their worker. Shows what it would do, unless --execute."""
    _check_usage(worker=worker, plan=plan, resume=resume, chosen=chosen)
    target = _target(to, every_subscriber=every_subscriber)
    orders = Orders(
        rate=rate or _RATE,
        canary=canary,
        canary_wait_s=canary_wait,
        records_max=records_max,
        stop_on=_guards(stop_on or []),
        watch_s=watch,
    )
    if resume is not None:
        _resume(resume, orders, rate=rate, actor=actor_or_login(actor), json=json)
    wish = Wish(
        actor=actor_or_login(actor),
        reason=check_reason(reason) if execute else reason,
        target=target,
        replays_max=max_replays,
    )

    async def verb(tools: Tools, stop: asyncio.Event) -> int:
        if plan is not None:
            made = read_plan(plan.read_bytes())
        else:
            made = await make_plan(tools.settings, tools.database, tools.codec, check_worker(worker or ""), chosen)
        if not execute:
            print_plan(made, wish, rate=orders.rate, json=json, file=plan)
            return EXIT_OK
        return await send_plan(tools, made, wish, orders, stop=stop, json=json)

    run_verb(verb)


async def send_plan(tools: Tools, made: Plan, wish: Wish, orders: Orders, *, stop: asyncio.Event, json: bool) -> int:
    """The exit code."""
    with show_progress(console(json=json), made.topic, len(made.items) - made.skipped_done) as observe:
        report = await replay_plan(tools, made, wish, orders, stop=stop, observe=observe)
    return print_report(report, json=json)


def _resume(run_id: str, orders: Orders, *, rate: float | None, actor: str, json: bool) -> NoReturn:
    async def verb(tools: Tools, stop: asyncio.Event) -> int:
        async with tools.database.connection() as connection:
            run = await find_run(connection, run_id)
        own = orders if rate is not None else replace(orders, rate=float(run.options["rate"]))
        with show_progress(console(json=json), run.topic, run.planned) as observe:
            report = await resume_run(tools, run, actor, own, stop=stop, observe=observe)
        return print_report(report, json=json)

    run_verb(verb)


def _check_usage(*, worker: str | None, plan: Path | None, resume: str | None, chosen: Filter) -> None:
    """Raises ConfigurationError unless exactly one of the three says what to replay."""
    if sum(given is not None for given in (worker, plan, resume)) != 1:
        raise ConfigurationError("say what to replay: WORKER with filters, or --plan FILE, or --resume RUN")
    if worker is not None:
        check_worker(worker)
    elif chosen != Filter():
        raise ConfigurationError("filters choose when a plan is made; with --plan and --resume the list is frozen")


def _target(to: str, *, every_subscriber: bool) -> Target:
    """Raises ConfigurationError."""
    for target in TARGETS:
        if to == target:
            if target == ORIGIN and not every_subscriber:
                raise ConfigurationError(
                    "--to origin reaches every subscriber of the topic; add --every-subscriber if that is meant"
                )
            return target
    raise ConfigurationError(f"--to is one of {', '.join(TARGETS)}")


def _guards(texts: list[str]) -> tuple[StopOn, ...]:
    """Raises ConfigurationError."""
    try:
        return tuple(parse_stop_on(text) for text in texts)
    except BadFilterError as error:
        raise ConfigurationError(str(error)) from None
