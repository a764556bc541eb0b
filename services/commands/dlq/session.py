"""How a verb of `coursepay dlq` runs: what it needs opened, ctrl-C noticed, errors as one sentence and an exit code."""

import asyncio
import logging
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, NoReturn

import orjson
import structlog
import typer
from rich.console import Console

from services.common.codec import open_codec
from services.common.database import open_database
from services.common.errors import ConfigurationError, CoursepayError, RecordError
from services.common.runtime import EXIT_FAILED, EXIT_USAGE
from services.common.settings import Settings, has_otlp_endpoint
from services.common.telemetry.traces import configure_tracing
from services.engine.producer import KafkaClientError, open_producer
from services.operations.replay.execution import Tools
from services.operations.replay.refusals import EXIT_PARTIAL, EXIT_REFUSED, BadFilterError, RefusedError, RunCutOffError

_ROLE = "coursepay_operations"
_NAME = "coursepay-dlq"
_CONNECTIONS = 4
_PIPE_COLUMNS = 200
Verb = Callable[[Tools, asyncio.Event], Awaitable[int]]


def run_verb(verb: Verb) -> NoReturn:
    """`verb(tools, stop)` returns the exit code; ctrl-C sets `stop`. Settings that are wrong are for main()."""
    settings = Settings.from_environment()
    # Logs belong to services; on stdout they would break --json.
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    # A replay begins a trace; without a place for spans it keeps the first one's.
    provider = configure_tracing("dlq") if has_otlp_endpoint() else None
    try:
        code = asyncio.run(_run(settings, verb))
    except BadFilterError as error:
        code = _say(error, EXIT_USAGE)
    except RefusedError as error:
        code = _say(error, EXIT_REFUSED)
    except RunCutOffError as error:
        code = _say(error, EXIT_PARTIAL)
    # A file that cannot be written or read; what servers do is a RecordError.
    except OSError as error:
        code = _say(ConfigurationError(f"{error.filename}: {error.strerror}"), EXIT_USAGE)
    except (RecordError, KafkaClientError) as error:
        code = _say(error, EXIT_FAILED)
    finally:
        if provider is not None:
            provider.shutdown()
    raise typer.Exit(code)


async def _run(settings: Settings, verb: Verb) -> int:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    async with open_tools(settings) as tools:
        return await verb(tools, stop)


@asynccontextmanager
async def open_tools(settings: Settings) -> AsyncIterator[Tools]:
    """Raises ConfigurationError when an address is missing."""
    codec = await open_codec(settings)
    async with (
        open_database(settings, role=_ROLE, application=_NAME, connections_max=_CONNECTIONS) as database,
        open_producer(settings, _NAME) as producer,
    ):
        yield Tools(settings=settings, database=database, codec=codec, producer=producer)


def console(*, json: bool = False) -> Console:
    """Tables and progress; on stderr when stdout belongs to a program. Rich makes a pipe 80 columns wide, which folds
    what somebody wants to grep.
    """
    out = Console(stderr=json, highlight=False)
    return out if out.is_terminal else Console(stderr=json, highlight=False, width=_PIPE_COLUMNS)


def print_json(document: Any) -> None:  # noqa: ANN401 - any JSON value
    typer.echo(orjson.dumps(document, default=str).decode())


def _say(error: CoursepayError, code: int) -> int:
    sys.stderr.write(f"{error}\n")
    return code
