"""`coursepay migrate`: brings the database to the newest files of sql/."""

import asyncio
import sys

import typer
from rich.console import Console

from services.common.errors import RecordError
from services.common.settings import Settings
from services.operations.migrations import migrate as apply_migrations


def migrate() -> None:
    """Create the roles, apply what is new in sql/, and fill in public holidays. Safe to repeat."""
    url = Settings.from_environment().required_database_url()
    try:
        applied = asyncio.run(apply_migrations(url))
    except RecordError as error:
        sys.stderr.write(f"PostgreSQL could not do it now: {error}\n")
        raise typer.Exit(1) from None
    console = Console(highlight=False)
    for name in applied:
        console.print(f"applied {name}")
    if not applied:
        console.print("nothing to apply")
