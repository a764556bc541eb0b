"""`coursepay run SERVICE`: one service in the foreground, or all of them under one supervisor."""

import asyncio
from enum import StrEnum
from importlib import import_module
from typing import Annotated

import typer

from services.common.runtime import EXIT_OK, run_service
from services.common.settings import PREFIX, Settings
from services.processes.catalogue import SERVICES, metrics_ports
from services.processes.supervisor import ChildSpec, supervise


class Service(StrEnum):
    GATEWAY = "gateway"
    PURCHASE_WORKER = "purchase-worker"
    ASSIGNMENT_WORKER = "assignment-worker"
    NOTIFIER = "notifier"
    OPERATIONS = "operations"
    ALL = "all"


def run(service: Annotated[Service, typer.Argument(help="all: every one of them, each as a child process")]) -> None:
    """Run a service until ctrl-C or SIGTERM."""
    if service is Service.ALL:
        raise typer.Exit(_run_all(Settings.from_environment()))
    # Imported when it is known which: a worker need not load the gateway.
    main = import_module(f"{SERVICES[service]}.__main__")
    raise typer.Exit(run_service(service, main.serve))


def _run_all(settings: Settings) -> int:
    # Asked for here, so that what is missing is said once and not by every child.
    settings.required_bootstrap_servers()
    settings.required_database_url()
    ports = metrics_ports(settings.metrics_port)
    specs = [
        ChildSpec(
            name=name,
            arguments=[module],
            environment={f"{PREFIX}METRICS_PORT": str(ports[name])} if name in ports else {},
        )
        for name, module in SERVICES.items()
    ]
    code = EXIT_OK

    async def main(_settings: Settings, stop: asyncio.Event) -> None:
        nonlocal code
        code = await supervise(specs, stop)

    return run_service("supervisor", main, settings) or code
