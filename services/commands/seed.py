"""`coursepay seed`: a reproducible catalogue of courses, prices and trainers."""

import asyncio
import sys
from typing import Annotated

import typer
from rich.console import Console

from services.common.database import open_database
from services.common.errors import RecordError
from services.common.settings import Settings
from services.sandbox.catalogue import Catalogue, build_catalogue
from services.sandbox.seeding import seed_catalogue

_OWNER = "coursepay_owner"
# Some thousand trainers are one statement.
_DEADLINE = "60s"


def seed(
    courses: Annotated[int, typer.Option(min=1, max=9_999)] = 20,
    trainers: Annotated[int, typer.Option(min=0, max=1_000_000)] = 300,
    seed: Annotated[int, typer.Option(help="the same seed makes the same catalogue")] = 1,
) -> None:
    """Add courses with prices, and trainers who teach them; what has another id stays."""
    settings = Settings.from_environment(database_deadline=_DEADLINE)
    catalogue = build_catalogue(courses=courses, trainers=trainers, seed=seed)
    try:
        asyncio.run(_seed(settings, catalogue))
    except RecordError as error:
        sys.stderr.write(f"the catalogue could not be stored; is PostgreSQL up, and migrated? {error}\n")
        raise typer.Exit(1) from None
    Console(highlight=False).print(
        f"{len(catalogue.courses)} courses, {len(catalogue.prices)} prices, {len(catalogue.trainers)} trainers"
    )


async def _seed(settings: Settings, catalogue: Catalogue) -> None:
    async with open_database(settings, role=_OWNER, application="coursepay-seed", connections_max=1) as database:
        await seed_catalogue(database, catalogue)
