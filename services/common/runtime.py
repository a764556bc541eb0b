"""Running a service: settings, logs, signals, exit codes; and dying on purpose. Each service's __main__ is a call of
`run_service`.

Crash points are named places between two steps, where a process can be made to die as if it had been killed. They are
compiled in, armed only by the setting CRASH_POINT (`after-commit`, or `after-commit:3` for the third time), and refused
in production. What happens between two steps is what at-least-once is about, so it must be possible to stop there.
"""

import asyncio
import gc
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from typing import Final

import structlog
import uvloop

from services.common.errors import ConfigurationError, RecordError
from services.common.settings import Settings
from services.common.telemetry.logs import configure_logging
from services.common.telemetry.traces import configure_tracing

EXIT_OK = 0
EXIT_FAILED = 1
EXIT_USAGE = 2
_NEW_OBJECTS = 10_000

BEFORE_HANDLING: Final = "before-handling"
IN_TRANSACTION: Final = "in-transaction"
AFTER_COMMIT: Final = "after-commit"
AFTER_ACKNOWLEDGEMENT: Final = "after-acknowledgement"
BEFORE_OFFSETS: Final = "before-offsets"
AFTER_OFFSETS: Final = "after-offsets"
ENGINE_POINTS = (BEFORE_HANDLING, IN_TRANSACTION, AFTER_COMMIT, AFTER_ACKNOWLEDGEMENT, BEFORE_OFFSETS, AFTER_OFFSETS)
RELAY_CLAIMED: Final = "relay-claimed"
RELAY_SENT: Final = "relay-sent"
RELAY_MARKED: Final = "relay-marked"
GATEWAY_POINTS = (IN_TRANSACTION, AFTER_COMMIT, RELAY_CLAIMED, RELAY_SENT, RELAY_MARKED)

Main = Callable[[Settings, asyncio.Event], Awaitable[None]]
log = structlog.get_logger()


def run_service(name: str, main: Main, settings: Settings | None = None) -> int:
    """Runs `main(settings, stop)` until it returns; SIGTERM and SIGINT set `stop`. Returns the exit code:
    0 stopped when asked, 1 a part died, 2 a setting is wrong.
    """
    try:
        settings = settings or Settings.from_environment()
        configure_logging(settings, name)
        _collect_less_often()
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
    except RecordError as error:
        # What it cannot begin without stayed away. One sentence: where in the code it was needed tells nobody more.
        log.error("service_died", error=str(error))  # noqa: TRY400
        return EXIT_FAILED
    except BaseExceptionGroup as group:
        return _exit_code_of(group)
    return EXIT_OK


def _collect_less_often() -> None:
    """A batch makes thousands of objects, none of them in cycles: looking through them every 700 costs a tenth of the
    time, and what was imported never goes away.
    """
    gc.freeze()
    gc.set_threshold(_NEW_OBJECTS)


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


class _Armed:
    """One per process, as a death is."""

    name: str | None = None
    times: int = 0


def arm(settings: Settings, points: tuple[str, ...] = ENGINE_POINTS) -> None:
    """Raises ConfigurationError in production, or when there is no such point."""
    _Armed.name = None
    if settings.crash_point is None:
        return
    if settings.production:
        raise ConfigurationError("COURSEPAY_CRASH_POINT is for tests; it is refused in production")
    name, _, times = settings.crash_point.partition(":")
    if name not in points or not (times or "1").isdecimal() or int(times or "1") < 1:
        raise ConfigurationError(f"COURSEPAY_CRASH_POINT: one of {', '.join(points)}, with :N for the N-th time")
    _Armed.name, _Armed.times = name, int(times or "1")


def reached(name: str) -> None:
    """Dies here when armed for it. SIGKILL: no handler, no flush, no clean-up."""
    if _Armed.name != name:
        return
    _Armed.times -= 1
    if _Armed.times <= 0:
        os.kill(os.getpid(), signal.SIGKILL)
