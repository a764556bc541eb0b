"""What several verbs of `coursepay dlq` take: a worker, the filters, who asks and why."""

import getpass
import inspect
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import wraps
from typing import Annotated, Any, get_type_hints

import typer

from services.common.errors import ConfigurationError
from services.common.setting_kinds import parse_duration_s
from services.common.topics import WORKERS
from services.operations.replay.choosing.filters import KINDS, STATUSES, Filter, check_filter
from services.operations.replay.refusals import BadFilterError

Worker = Annotated[str, typer.Argument(help=f"one of {', '.join(WORKERS)}", metavar="WORKER")]
Reason = Annotated[str, typer.Option(help="why; kept in the audit log")]
Actor = Annotated[str, typer.Option(help="who; default: the login name")]
Json = Annotated[bool, typer.Option("--json", help="one JSON document on stdout, for programs")]
_TIME = "like 2026-11-25T10:00 (UTC unless it says otherwise), or how long ago: 90m"


def _filter_options(  # noqa: PLR0917 - never called: its signature is what a verb's command line gets
    partition: Annotated[int | None, typer.Option(min=0)] = None,
    from_offset: Annotated[int | None, typer.Option(min=0, help="inclusive")] = None,
    to_offset: Annotated[int | None, typer.Option(min=0, help="exclusive")] = None,
    from_time: Annotated[str | None, typer.Option(help=_TIME)] = None,
    to_time: Annotated[str | None, typer.Option(help="exclusive")] = None,
    order_id: Annotated[str | None, typer.Option(help="the record's key")] = None,
    error_class: Annotated[str | None, typer.Option()] = None,
    kind: Annotated[str | None, typer.Option(help=", ".join(sorted(KINDS)))] = None,
    fingerprint: Annotated[str | None, typer.Option(help="of `dlq stats`: the same for what failed alike")] = None,
    replay_count_lt: Annotated[int | None, typer.Option(min=0, help="replayed less often than this")] = None,
    where: Annotated[str | None, typer.Option(help="like: amount_minor > 100000 and kind != 'poison'")] = None,
    status: Annotated[list[str] | None, typer.Option(help=f"several times: {', '.join(STATUSES)}")] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="the first so many")] = None,
) -> None:
    """The options become a Filter."""


def takes_filter(command: Callable[..., None]) -> Callable[..., None]:
    """The command's parameter `chosen: Filter` becomes the options above on its command line."""
    options = inspect.signature(_filter_options).parameters
    own = inspect.signature(command).parameters

    @wraps(command)
    def with_filter(**given: Any) -> None:  # noqa: ANN401 - typer passes what the signature says
        chosen = make_filter(**{name: given.pop(name) for name in options})
        command(**given, chosen=chosen)

    kept = [parameter for name, parameter in own.items() if name != "chosen"]
    parameters = [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in (*kept, *options.values())]
    with_filter.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    hints = {**get_type_hints(command, include_extras=True), **get_type_hints(_filter_options, include_extras=True)}
    with_filter.__annotations__ = {name: hint for name, hint in hints.items() if name not in {"chosen", "return"}}
    return with_filter


def make_filter(
    *,
    from_time: str | None,
    to_time: str | None,
    status: list[str] | None,
    **others: Any,  # noqa: ANN401 - options
) -> Filter:
    """Raises ConfigurationError for what can match nothing."""
    try:
        chosen = Filter(
            from_time_ms=None if from_time is None else parse_time_ms(from_time),
            to_time_ms=None if to_time is None else parse_time_ms(to_time),
            statuses=tuple(sorted(set(status))) if status else ("unresolved",),
            **others,
        )
        check_filter(chosen)
    except BadFilterError as error:
        raise ConfigurationError(str(error)) from None
    return chosen


def parse_time_ms(text: str) -> int:
    """A moment, or how long ago. Raises ConfigurationError."""
    if re.fullmatch(r"[\d.]+(?:ms|s|m|h|d)", text.strip()):
        moment = datetime.now(UTC) - timedelta(seconds=parse_duration_s(text))
    else:
        try:
            moment = datetime.fromisoformat(text.strip())
        except ValueError:
            raise ConfigurationError(f"{text!r} is no time; write it {_TIME}") from None
        moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment
    return int(moment.timestamp() * 1000)


def check_worker(worker: str) -> str:
    """Raises ConfigurationError."""
    if worker not in WORKERS:
        raise ConfigurationError(f"there is no worker {worker!r}; the workers are {', '.join(WORKERS)}")
    return worker


def check_reason(reason: str) -> str:
    """Raises ConfigurationError."""
    if not reason.strip():
        raise ConfigurationError("--reason is required: say why, for the audit log")
    return reason.strip()


def parse_place(text: str) -> tuple[int, int]:
    """`3:1042` -> (3, 1042). Raises ConfigurationError."""
    match = re.fullmatch(r"(\d{1,9}):(\d{1,18})", text)
    if match is None:
        raise ConfigurationError(f"{text!r} is no PARTITION:OFFSET, like 3:1042")
    return int(match[1]), int(match[2])


def actor_or_login(actor: str) -> str:
    """Raises ConfigurationError."""
    if actor:
        return actor[:128]
    try:
        return getpass.getuser()
    # A container's user may have no name; KeyError is Python 3.11's way to say so.
    except (OSError, KeyError):
        raise ConfigurationError("--actor is required: this user has no login name") from None
