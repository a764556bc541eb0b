"""`coursepay stack`: Kafka and PostgreSQL in the background, for development."""

import shlex
from pathlib import Path
from typing import Annotated

import orjson
import typer
from rich.console import Console

from services.common.errors import ConfigurationError
from services.common.settings import Settings
from services.sandbox.stack import end_stack, lasting_stack, running_stack

app = typer.Typer(help="Kafka and PostgreSQL for development, in the background.", no_args_is_help=True)
Directory = Annotated[Path | None, typer.Option(help="keeps several stacks apart; default: COURSEPAY_STATE_DIRECTORY")]


@app.command()
def up(
    *, directory: Directory = None, json: Annotated[bool, typer.Option("--json", help="for programs")] = False
) -> None:
    """Start them, unless they run already, and print their addresses."""
    settings = Settings.from_environment()
    console = Console(stderr=True, highlight=False)
    console.print("starting Kafka and PostgreSQL (the first time also fetches them)")
    running = lasting_stack(settings, _directory(settings, directory), note=console.print)
    if json:
        typer.echo(orjson.dumps(running.environment).decode())
    else:
        _print_exports(running.environment)


@app.command()
def down(*, directory: Directory = None) -> None:
    """Stop them. The data of processes stays for the next start, that of containers ends with them."""
    settings = Settings.from_environment()
    where = _directory(settings, directory)
    typer.echo("stopped" if end_stack(where) else f"nothing runs for {where}")


@app.command()
def env(*, directory: Directory = None) -> None:
    """Print export lines: eval "$(coursepay stack env)"."""
    settings = Settings.from_environment()
    where = _directory(settings, directory)
    running = running_stack(where)
    if running is None:
        raise ConfigurationError(f"nothing runs for {where}; `coursepay stack up` starts it")
    _print_exports(running.environment)


def _directory(settings: Settings, chosen: Path | None) -> Path:
    return chosen if chosen is not None else settings.state_directory


def _print_exports(environment: dict[str, str]) -> None:
    for name, value in environment.items():
        typer.echo(f"export {name}={shlex.quote(value)}")
