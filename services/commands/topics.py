"""`coursepay topics`: the manifest of topics against the cluster."""

import asyncio
from collections.abc import Coroutine, Sequence
from typing import Annotated, Any, TypeVar

import orjson
import typer
from rich.console import Console
from rich.table import Table

from services.common.errors import DependencyError
from services.common.runtime import EXIT_FAILED
from services.common.settings import Settings
from services.common.topic_admin import TopicDifference, apply_topics, check_topics
from services.operations.backlog import retired_tiers

app = typer.Typer(help="Create the topics of the manifest, or compare it with the cluster.", no_args_is_help=True)
T = TypeVar("T")
Json = Annotated[bool, typer.Option("--json", help="the answer as JSON on stdout")]


@app.command()
def apply(*, json: Json = False) -> None:
    """Create the topics that are missing. Existing ones are left as they are; `check` names what differs."""
    settings = Settings.from_environment()
    created = _answer_of(apply_topics(settings))
    if json:
        typer.echo(orjson.dumps({"created": created}).decode())
        return
    for name in created:
        typer.echo(f"created {name}")
    typer.echo(f"{len(created)} topics created" if created else "all topics are there")


@app.command()
def check(*, json: Json = False) -> None:
    """Compare the cluster with the manifest; exit code 1 when they differ or a retired tier still holds records."""
    settings = Settings.from_environment()
    differences = [*_answer_of(check_topics(settings)), *_answer_of(retired_tiers(settings))]
    if json:
        rows = [{"topic": difference.topic, "what": difference.what} for difference in differences]
        typer.echo(orjson.dumps({"differences": rows}).decode())
    else:
        _print(differences)
    raise typer.Exit(EXIT_FAILED if differences else 0)


def _answer_of(question: Coroutine[Any, Any, T]) -> T:
    try:
        return asyncio.run(question)
    except DependencyError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(EXIT_FAILED) from None


def _print(differences: Sequence[TopicDifference]) -> None:
    if not differences:
        typer.echo("the cluster is as the manifest says")
        return
    table = Table(pad_edge=False)
    table.add_column("topic")
    table.add_column("what differs")
    for difference in differences:
        table.add_row(difference.topic, difference.what)
    Console(markup=False).print(table)
