"""`coursepay schemas`: whether all versions of all events understand each other, and releasing a new one."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from services.common.codec import SCHEMAS_DIRECTORY
from services.operations.schemas.check import check_schemas
from services.operations.schemas.files import read_versions
from services.operations.schemas.release import release as release_pending

app = typer.Typer(help="The events' Avro schemas.", no_args_is_help=True)
Directory = Annotated[Path, typer.Option(help="where the schemas are", file_okay=False, exists=True)]


@app.command()
def check(directory: Directory = SCHEMAS_DIRECTORY) -> None:
    """Prove that every version reads every other, and that nothing released was edited."""
    findings = check_schemas(directory)
    if findings:
        problems = Console(stderr=True, highlight=False, markup=False, soft_wrap=True)
        for finding in findings:
            problems.print(finding)
        raise typer.Exit(1)
    versions = read_versions(directory)
    events = {version.event for version in versions}
    Console(highlight=False).print(f"{len(events)} events in {len(versions)} versions: each reads each")


@app.command()
def release(directory: Directory = SCHEMAS_DIRECTORY) -> None:
    """Give each new version its id, golden bytes and fingerprint. Writers use it once codec.py says so."""
    console = Console(highlight=False)
    released = release_pending(directory)
    for version in released:
        console.print(f"{version.key} is released; raise WRITER_VERSIONS one deploy later")
    if not released:
        console.print("nothing new to release")
