"""What a service would print, with its own processors, libraries' lines included."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from io import StringIO

import structlog

from services.common.settings import Settings
from services.common.telemetry.logs import configure_logging


@contextmanager
def printed(service: str) -> Iterator[StringIO]:
    """JSON lines, for as long as it lasts."""
    lines = StringIO()
    handlers, level = logging.root.handlers[:], logging.root.level
    with redirect_stdout(lines):
        configure_logging(Settings(), service)
    try:
        yield lines
    finally:
        structlog.reset_defaults()
        structlog.contextvars.clear_contextvars()
        logging.root.handlers[:] = handlers
        logging.root.setLevel(level)
