"""All services and the sandbox as child processes on free ports, ready to be used."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from services.common.settings import PREFIX, Settings
from services.processes.catalogue import SERVICES, WITH_METRICS_PORT
from services.sandbox.accounts import sandbox_accounts, sandbox_environment
from services.sandbox.demo.children import Child
from services.sandbox.ports import free_ports

_SANDBOX = "sandbox"


@dataclass(frozen=True, slots=True, kw_only=True)
class System:
    """`settings` are those that the services run with; `children` by name: the services' and `sandbox`."""

    settings: Settings
    gateway_url: str
    sandbox_url: str
    children: Mapping[str, Child]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    gateway: int
    sandbox: int
    metrics: Mapping[str, int]


@asynccontextmanager
async def open_system(
    settings: Settings, *, directory: Path, push_error_rate: float, ports: Ports | None = None
) -> AsyncIterator[System]:
    """Yields when all are ready; stops all of them on exit, whatever happened. `settings` name the stack and the
    database, which must be migrated. Logs go to `directory`. Raises ChildFailedError.
    """
    ports = ports or choose_ports()
    gateway_url, sandbox_url = f"http://127.0.0.1:{ports.gateway}", f"http://127.0.0.1:{ports.sandbox}"
    accounts = sandbox_accounts(settings, gateway_url)
    shared = {**_shared_environment(settings, ports), **sandbox_environment(accounts, sandbox_url)}
    options = ["--port", str(ports.sandbox), "--gateway-url", gateway_url, "--push-errors", str(push_error_rate)]
    children = {
        _SANDBOX: Child(
            _SANDBOX,
            arguments=["services.cli", "sandbox", *options],
            environment=shared,
            ready_url=f"{sandbox_url}/control/health",
            log=directory / "sandbox.log",
        )
    }
    for name, module in SERVICES.items():
        port = ports.metrics.get(name, ports.gateway)
        children[name] = Child(
            name,
            arguments=[module],
            environment={**shared, f"{PREFIX}METRICS_PORT": str(port)},
            ready_url=f"http://127.0.0.1:{port}/health/ready",
            log=directory / f"{name}.log",
        )
    try:
        for child in children.values():
            await child.start()
        await asyncio.gather(*(child.wait_until_ready() for child in children.values()))
        yield System(settings=settings, gateway_url=gateway_url, sandbox_url=sandbox_url, children=children)
    finally:
        # The sandbox last: services that drain still talk to it.
        await asyncio.gather(*(child.stop() for name, child in children.items() if name != _SANDBOX))
        await children[_SANDBOX].stop()


def choose_ports() -> Ports:
    gateway, sandbox, *others = free_ports(2 + len(WITH_METRICS_PORT))
    return Ports(gateway=gateway, sandbox=sandbox, metrics=dict(zip(WITH_METRICS_PORT, others, strict=True)))


def _shared_environment(settings: Settings, ports: Ports) -> dict[str, str]:
    """What every child gets. Empty values switch off what the caller's own environment may hold for real use."""
    values = {
        "ENVIRONMENT": settings.environment.value,
        "STATE_DIRECTORY": str(settings.state_directory.absolute()),
        "KAFKA_BOOTSTRAP_SERVERS": settings.required_bootstrap_servers(),
        "KAFKA_TOPIC_PREFIX": settings.kafka_topic_prefix,
        "KAFKA_PARTITIONS": str(settings.kafka_partitions),
        # As it was given: what the settings say of TLS reaches the children by itself.
        "DATABASE_URL": settings.database_url.get_secret_value(),
        "GATEWAY_HOST": "127.0.0.1",
        "GATEWAY_PORT": str(ports.gateway),
        "RATE_LIMITS": "off",
        "AUTH_JWKS_URL": "",
        "AUTH_PUBLIC_KEY_FILE": "",
        "CRASH_POINT": "",
        "LOG_FORMAT": "json",
    }
    # A crash inside a library tells in the log where it was.
    return {**{PREFIX + name: value for name, value in values.items()}, "PYTHONFAULTHANDLER": "1"}
