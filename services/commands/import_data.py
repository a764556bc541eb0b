"""`coursepay import purchases FILE`: what was sold before coursepay."""

import asyncio
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, NoReturn

import typer
from rich.console import Console

from services.common.database import open_database
from services.common.errors import RecordError
from services.common.runtime import EXIT_FAILED
from services.common.settings import Settings
from services.operations.purchase_import import Sheet, add_sheet, check_sheet, read_sheet

app = typer.Typer(help="Bring in what was there before coursepay.", no_args_is_help=True)
_ROLE = "coursepay_purchase_worker"
_MISTAKES_SHOWN = 20


@app.callback()
def _group() -> None:
    """One verb for each kind of thing."""


@app.command()
def purchases(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="JSON lines, or CSV when it ends in .csv")],
    *,
    execute: Annotated[bool, typer.Option("--execute", help="add them; without it the file is only checked")] = False,
) -> None:
    """Add purchases from before coursepay (order ids `legacy-...`). Safe to repeat; a file with a mistake adds none."""
    settings = Settings.from_environment()
    try:
        text = file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        _refuse([f"{file} is not UTF-8"])
    sheet = read_sheet(text, is_csv=file.suffix.lower() == ".csv")
    try:
        asyncio.run(_run(settings, sheet, execute=execute))
    except RecordError as error:
        _refuse([f"PostgreSQL could not do it now; what was added stays, run it again: {error}"])


async def _run(settings: Settings, sheet: Sheet, *, execute: bool) -> None:
    async with open_database(settings, role=_ROLE, application="coursepay-import", connections_max=1) as database:
        found, there = await check_sheet(
            database, sheet, expiry_days=settings.expiry_days_by_tier, now=datetime.now(UTC)
        )
        if mistakes := [*sheet.mistakes, *found]:
            _refuse(mistakes)
        out = Console(highlight=False)
        new = len(sheet.purchases) - len(there)
        if not execute:
            out.print(f"{new} to add, {len(there)} there already; nothing was changed, --execute adds them")
            return
        added = await add_sheet(database, sheet, expiry_days=settings.expiry_days_by_tier)
        out.print(f"{added} added, {len(sheet.purchases) - added} there already")


def _refuse(mistakes: list[str]) -> NoReturn:
    for mistake in mistakes[:_MISTAKES_SHOWN]:
        sys.stderr.write(f"{mistake}\n")
    if len(mistakes) > _MISTAKES_SHOWN:
        sys.stderr.write(f"and {len(mistakes) - _MISTAKES_SHOWN} more\n")
    raise typer.Exit(EXIT_FAILED)
