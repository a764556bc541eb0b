"""`coursepay up`: the whole system in the foreground, with URLs to open and curl lines to paste."""

import asyncio
import shlex
import signal
import sys
from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import typer
from rich.console import Console
from rich.table import Table

from services.commands.sandbox import PORT as SANDBOX_PORT
from services.common.errors import ConfigurationError
from services.common.settings import Settings
from services.common.topic_admin import apply_topics
from services.operations.migrations import migrate
from services.processes.catalogue import metrics_ports
from services.sandbox.catalogue import TIME_ZONE, build_catalogue
from services.sandbox.demo.children import ChildFailedError
from services.sandbox.demo.database import open_as_owner
from services.sandbox.demo.guide import curl_lines, urls
from services.sandbox.demo.plan import COURSES, TRAINERS
from services.sandbox.demo.system import Ports, System, open_system
from services.sandbox.ports import is_free
from services.sandbox.seeding import is_seeded, seed_catalogue
from services.sandbox.stack import temporary_stack

_LOOK_S = 1.0


def up() -> None:
    """Run Kafka, PostgreSQL, the sandbox and every service until ctrl-C."""
    settings = Settings.from_environment()
    console = Console(highlight=False)
    ports = _ports(settings)
    console.print("[bold]coursepay up[/bold]  starting Kafka and PostgreSQL (the first time also fetches them)")
    with temporary_stack(settings, settings.state_directory, keep_data=True, note=console.print) as stack:
        own = Settings.from_environment(
            kafka_bootstrap_servers=stack.kafka_bootstrap_servers, database_url=stack.database_url
        )
        try:
            asyncio.run(_serve(own, ports, console))
        except ChildFailedError as error:
            console.print(str(error), style="red", markup=False)
            raise typer.Exit(1) from None


def _ports(settings: Settings) -> Ports:
    """Those of the settings, so that the printed lines are the same every day. Raises ConfigurationError for a taken
    one.
    """
    metrics = metrics_ports(settings.metrics_port)
    ports = Ports(gateway=settings.gateway_port, sandbox=SANDBOX_PORT, metrics=metrics)
    wanted = {"COURSEPAY_GATEWAY_PORT": [ports.gateway], "COURSEPAY_METRICS_PORT": list(metrics.values())}
    for setting, numbers in {**wanted, "the sandbox": [ports.sandbox]}.items():
        for number in numbers:
            if not is_free(number):
                raise ConfigurationError(f"port {number} ({setting}) is in use; stop what listens there")
    return ports


async def _serve(settings: Settings, ports: Ports, console: Console) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    console.print("  migrating, creating topics, making a catalogue")
    await migrate(settings.required_database_url())
    await apply_topics(settings)
    async with open_as_owner(settings) as database:
        if not await is_seeded(database):
            await seed_catalogue(database, build_catalogue(courses=COURSES, trainers=TRAINERS, seed=1))
    directory = settings.state_directory / "logs"
    directory.mkdir(parents=True, exist_ok=True)
    console.print("  starting the services")
    async with open_system(settings, directory=directory, push_error_rate=0, ports=ports) as system:
        _print_guide(console, system, directory)
        await _until_stopped(system, stop)
        console.print("  stopping")


async def _until_stopped(system: System, stop: asyncio.Event) -> None:
    """Raises ChildFailedError when a service ends by itself."""
    while not stop.is_set():
        for child in system.children.values():
            if child.pid is None:
                raise ChildFailedError(f"{child.name} has ended; the end of {child.log}:\n{child.last_lines()}")
        try:
            async with asyncio.timeout(_LOOK_S):
                await stop.wait()
        except TimeoutError:
            continue


def _print_guide(console: Console, system: System, directory: Path) -> None:
    table = Table(show_header=False, box=None)
    for what, address in urls(system):
        table.add_row(what, address)
    console.print(table)
    console.print(f"logs in {directory}\n\n[bold]A purchase, to paste:[/bold]")
    start_date = (datetime.now(ZoneInfo(TIME_ZONE)) + timedelta(days=7)).date().isoformat()
    coursepay = shlex.quote(str(Path(sys.executable).with_name("coursepay")))
    for line in curl_lines(system, coursepay=coursepay, start_date=start_date):
        console.print(line, markup=False, soft_wrap=True)
    console.print("\nctrl-C stops everything.")
