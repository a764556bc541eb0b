"""Logs: structlog, one canonical line per record or request, JSON on stdout.

Only fields of the allow-list pass, so a payload, a signature or a name can't slip into a log by being passed along.
People get a console renderer with an emoji column derived from `outcome`; JSON never has one.
"""

import logging
import sys
from collections.abc import Iterator, Mapping, MutableMapping
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime
from select import PIPE_BUF
from typing import Any, TextIO, cast

import orjson
import structlog
from opentelemetry import trace

from services.common.settings import Settings
from services.common.telemetry.traces import trace_ids_of

LOG_FIELDS = frozenset(
    {
        "event", "level", "timestamp", "service", "stage", "outcome", "reason", "worker", "tier",
        "paymentId", "orderId", "studentId", "courseId", "trainerId", "allocationId", "purchaseId", "sessionId",
        "eventId", "eventType", "provider",
        "topic", "partition", "offset", "attempt", "records", "partitions", "due_in_s", "lateness_ms",
        "error_class", "error_kind", "error", "exception", "dependency", "fingerprint",
        "method", "route", "status", "request_id", "duration_ms", "trace_id", "span_id",
        "address", "port", "pid", "signal", "setting", "version", "rows", "count", "lines_lost",
    }
)  # fmt: skip
EMOJI_OF_OUTCOME: Mapping[str, str] = {
    "ok": "✅",
    "succeeded": "✅",
    "duplicate": "♻️",
    "replayed": "♻️",
    "pending": "⏳",
    "retried": "🔁",
    "dead": "💀",
    "refused": "⛔",
    "paused": "⏸️",
    "resumed": "▶️",
    "failed": "❌",
    "unavailable": "❌",
}
Fields = MutableMapping[str, Any]


class _Output:
    """Where lines go. Each is told to the system at once, except `together`: then in one call as many as a pipe takes
    whole, because several processes may write to one. On a full disk, or a pipe that nobody holds any more, lines are
    lost, and a later one tells how many: nobody's payment may fail for a line.
    """

    def __init__(self) -> None:
        self._stream = sys.stdout
        self._waits = False
        self._unflushed = 0
        self._lost = self._to_tell = 0

    def onto(self, stream: TextIO) -> TextIO:
        self._stream = stream
        return cast("TextIO", self)

    def write(self, text: str) -> int:
        size = len(text) if text.isascii() else len(text.encode(errors="replace"))
        if self._unflushed + size > PIPE_BUF:
            self._flush()
        self._unflushed += size
        try:
            self._stream.write(text)
        except (OSError, ValueError):
            self._lost += 1
        return len(text)

    def flush(self) -> None:
        if not self._waits:
            self._flush()

    @contextmanager
    def together(self) -> Iterator[None]:
        self._waits = True
        try:
            yield
        finally:
            self._waits = False
            self._flush()

    def _flush(self) -> None:
        self._unflushed = 0
        try:
            self._stream.flush()
        except (OSError, ValueError):
            self._lost += 1
        else:
            self._to_tell, self._lost = self._to_tell + self._lost, 0

    def take_lost(self) -> int:
        """How many lines were lost before one could be written again, once."""
        lost, self._to_tell = self._to_tell, 0
        return lost


_output = _Output()


def lines_together() -> AbstractContextManager[None]:
    """For many lines at once, without waiting between them."""
    return _output.together()


def configure_logging(settings: Settings, service: str) -> None:
    """JSON lines on stdout, or a console renderer when LOG_FORMAT=console. Called once per process."""
    emoji = settings.log_emoji == "on" and _can_show_emoji()
    renderer: list[Any]
    if settings.log_format == "console":
        renderer = [_emoji_column(shown=emoji), structlog.dev.ConsoleRenderer(colors=sys.stdout.isatty())]
    else:
        renderer = [structlog.processors.JSONRenderer(serializer=_to_json)]
    structlog.configure(
        processors=[_completed(service), *renderer],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[settings.log_level.upper()]),
        logger_factory=structlog.WriteLoggerFactory(_output.onto(sys.stdout)),
        cache_logger_on_first_use=False,
    )
    # What libraries say would otherwise be plain text between the lines.
    logging.basicConfig(handlers=[_FromLibraries()], level=logging.WARNING, force=True)


class _FromLibraries(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        try:
            structlog.get_logger().log(
                record.levelno,
                "library_message",
                reason=record.name,
                error=record.getMessage(),
                exc_info=record.exc_info,
            )
        # Raised into a library, or into the loop that tells of its errors here, it would end the process.
        except Exception:  # noqa: BLE001
            self.handleError(record)


def _can_show_emoji() -> bool:
    return (sys.stdout.encoding or "").lower().replace("-", "") == "utf8"


def _emoji_column(*, shown: bool) -> Any:  # noqa: ANN401 - structlog's processor type
    def add(_logger: object, _method: str, fields: Fields) -> Fields:
        if shown:
            emoji = EMOJI_OF_OUTCOME.get(str(fields.get("outcome")), "  ")
            fields["event"] = f"{emoji} {fields['event']}"
        return fields

    return add


def _completed(service: str) -> Any:  # noqa: ANN401 - structlog's processor type
    """What every line has, and of the rest what is allowed. In one step, because each costs."""

    def complete(logger: object, method: str, fields: Fields) -> Fields:
        if "exc_info" in fields:
            fields = structlog.processors.format_exc_info(logger, method, fields)
        line = {name: value for name, value in fields.items() if name in LOG_FIELDS}
        # The supervisor tells about others.
        line.setdefault("service", service)
        line["level"] = "error" if method == "exception" else method
        if lost := _output.take_lost():
            line["lines_lost"] = lost
        line["timestamp"] = datetime.now(UTC).isoformat().replace("+00:00", "Z")
        return line if "trace_id" in line else line | trace_ids_of(trace.get_current_span())

    return complete


def _to_json(fields: Any, **_options: object) -> str:  # noqa: ANN401 - structlog's serializer type
    return orjson.dumps(fields, default=str).decode()
