"""`coursepay repair loads|progress`: counters that differ from a recount, shown, and corrected with --execute.

The login must be allowed to act as the owner of the tables, as `coursepay migrate` is.
"""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from typing import Annotated

import typer
from rich.table import Table

from services.commands.dlq.session import console
from services.commands.keys import actor_from
from services.common.database import Database, open_database
from services.common.errors import RecordError
from services.common.runtime import EXIT_FAILED
from services.common.settings import Settings
from services.operations.database_roles import OWNER
from services.operations.repairs import drifted_loads, drifted_progress, repair_load, repair_progress

app = typer.Typer(help="correct counters that differ from a recount", no_args_is_help=True)
_Reason = Annotated[str, typer.Option(help="why; kept in the audit log")]
_Actor = Annotated[str, typer.Option(help="who asks for it; kept in the audit log", show_default="the login")]
_Execute = Annotated[bool, typer.Option("--execute", help="without it nothing is changed")]


@app.command()
def loads(*, reason: _Reason, actor: _Actor = "", execute: _Execute = False) -> None:
    """Trainers whose weekly load is not that of their live allocations. Safe beside running services."""

    async def verb(database: Database) -> None:
        drifted = await drifted_loads(database)
        table = Table("trainer", "load", "in the offers", "recounted", box=None)
        for drift in drifted:
            recounted = drift.expected_minutes
            if execute:
                recounted = await repair_load(database, drift, actor=actor_from(actor), reason=reason)
            offered = "none" if drift.offered_least is None else f"{drift.offered_least} to {drift.offered_most}"
            table.add_row(drift.trainer_id, str(drift.load_minutes), offered, str(recounted))
        if drifted:
            console().print(table)
        _close(len(drifted), "trainers", execute=execute)

    _run(verb)


@app.command()
def progress(*, reason: _Reason, actor: _Actor = "", execute: _Execute = False) -> None:
    """Rows of student_course_progress that differ from the completed sessions. Safe beside running services."""

    async def verb(database: Database) -> None:
        drifted = await drifted_progress(database)
        for purchase_id in drifted:
            console().print(f"purchase {purchase_id}")
        if drifted and execute:
            await repair_progress(database, actor=actor_from(actor), reason=reason)
        _close(len(drifted), "purchases", execute=execute)

    _run(verb)


def _close(count: int, whose: str, *, execute: bool) -> None:
    if not count:
        console().print("nothing differs from a recount")
    elif execute:
        console().print(f"{count} {whose} corrected")
    else:
        console().print(f"{count} {whose} differ; nothing was changed, --execute corrects them")


def _run(verb: Callable[[Database], Awaitable[None]]) -> None:
    settings = Settings.from_environment()

    async def run() -> None:
        async with open_database(settings, role=OWNER, application="coursepay-repair", connections_max=1) as database:
            await verb(database)

    try:
        asyncio.run(run())
    except RecordError as error:
        sys.stderr.write(f"PostgreSQL did not do it: {error}\n")
        raise typer.Exit(EXIT_FAILED) from None
