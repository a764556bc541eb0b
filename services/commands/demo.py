"""`coursepay demo`: real payments through every service with failures on purpose, and a ledger at the end."""

import asyncio
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Annotated
from zoneinfo import ZoneInfo

import orjson
import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from services.common.settings import Settings
from services.sandbox.catalogue import TIME_ZONE
from services.sandbox.demo.children import ChildFailedError
from services.sandbox.demo.load import Progress as Journeys
from services.sandbox.demo.plan import Plan, make_plan
from services.sandbox.demo.show import Shown, Watcher, show
from services.sandbox.demo.stages import StageCounts
from services.sandbox.ledger.tables import print_ledger
from services.sandbox.stack import temporary_stack

_REFUSED_MAX = 5


def demo(
    *,
    payments: Annotated[int, typer.Option(min=1, max=100_000, help="how many are offered")] = 500,
    rate: Annotated[float, typer.Option(min=0.1, max=2000, help="payments per second")] = 25.0,
    seed: Annotated[int, typer.Option(help="the same seed offers the same payments")] = 1,
    json: Annotated[bool, typer.Option("--json", help="the figures as the last line on stdout")] = False,
) -> None:
    """Run real payments through every service, let some fail on purpose, and show whether the books balance."""
    settings = Settings.from_environment()
    today = datetime.now(ZoneInfo(TIME_ZONE)).date()
    plan = make_plan(payments=payments, rate=rate, seed=seed, today=today)
    console = Console(stderr=json)
    directory = Path(tempfile.mkdtemp(prefix="coursepay-demo-"))
    try:
        shown = _run(settings, plan, directory, console)
    except ChildFailedError as error:
        console.print(str(error), style="red", markup=False)
        raise typer.Exit(1) from None
    except BaseException:
        shutil.rmtree(directory, ignore_errors=True)
        raise
    _print(console, shown)
    if shown.good:
        shutil.rmtree(directory, ignore_errors=True)
    else:
        console.print(f"The logs of the services stay in {directory}")
    if json:
        typer.echo(orjson.dumps(shown.ledger.counts.to_json()).decode())
    raise typer.Exit(0 if shown.good else 1)


def _run(settings: Settings, plan: Plan, directory: Path, console: Console) -> Shown:
    console.print("[bold]coursepay demo[/bold]  starting Kafka and PostgreSQL (the first time also fetches them)")
    with temporary_stack(settings, directory / "stack", note=console.print) as stack:
        own = Settings.from_environment(
            kafka_bootstrap_servers=stack.kafka_bootstrap_servers,
            database_url=stack.database_url,
            state_directory=directory,
        )
        with _watching(console, plan) as watcher:
            return asyncio.run(show(own, plan, directory=directory, watcher=watcher))


@contextmanager
def _watching(console: Console, plan: Plan) -> Iterator[Watcher]:
    columns = (TextColumn("{task.description:<22}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console) as bars:
        total = len(plan.journeys)
        names = ("orders placed", "payments confirmed", "courses bought", "trainers decided")
        placed, confirmed, bought, decided = (bars.add_task(name, total=total, start=False) for name in names)

        def show_counts(journeys: Journeys, stages: StageCounts) -> None:
            values = {placed: journeys.placed, confirmed: stages.confirmed, bought: stages.bought}
            for task, value in {**values, decided: stages.decided}.items():
                if value:
                    bars.start_task(task)
                    bars.update(task, completed=value)

        yield Watcher(phase=lambda text: console.print(f"  {text}"), counts=show_counts)


def _print(console: Console, shown: Shown) -> None:
    print_ledger(console, shown.ledger)
    for reason in shown.refused[:_REFUSED_MAX]:
        console.print(f"not placed: {reason}", style="red", markup=False)
    if not shown.good:
        console.print("\n[bold red]The books do not balance.[/bold red]")
        return
    console.print("\n[bold green]The books balance.[/bold green] Next: `make up` serves the same system for your curl.")
