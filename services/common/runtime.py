"""Running a service: settings, logs, signals, exit codes. Each service's __main__ is a call of `run_service`."""

import asyncio
import signal
import sys
from collections.abc import Awaitable, Callable

import structlog
import uvloop

from services.common.errors import ConfigurationError
from services.common.settings import Settings
from services.common.telemetry import configure_logging, configure_tracing

EXIT_OK = 0
EXIT_FAILED = 1
EXIT_USAGE = 2

Main = Callable[[Settings, asyncio.Event], Awaitable[None]]
log = structlog.get_logger()


def run_service(name: str, main: Main, settings: Settings | None = None) -> int:
    """Runs `main(settings, stop)` until it returns; SIGTERM and SIGINT set `stop`. Returns the exit code:
    0 stopped when asked, 1 a part died, 2 a setting is wrong.
    """
    try:
        settings = settings or Settings.from_environment()
        configure_logging(settings, name)
        provider = configure_tracing(name)
        try:
            uvloop.run(_run(main, settings))
        finally:
            provider.shutdown()
    except ConfigurationError as error:
        sys.stderr.write(f"{error}\n")
        return EXIT_USAGE
    except KeyboardInterrupt:
        return EXIT_OK
    except BaseExceptionGroup as group:
        return _exit_code_of(group)
    return EXIT_OK


async def _run(main: Main, settings: Settings) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    log.info("service_started")
    try:
        await main(settings, stop)
    finally:
        log.info("service_stopped")


def _exit_code_of(group: BaseExceptionGroup[BaseException]) -> int:
    wrong_settings, others = group.split(ConfigurationError)
    if others is None and wrong_settings is not None:
        sys.stderr.write(f"{_first_leaf(wrong_settings)}\n")
        return EXIT_USAGE
    log.error("service_died", error=str(group), exc_info=group)
    return EXIT_FAILED


def _first_leaf(group: BaseExceptionGroup[BaseException]) -> BaseException:
    error = group.exceptions[0]
    return _first_leaf(error) if isinstance(error, BaseExceptionGroup) else error
