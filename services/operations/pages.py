"""The pages of docs/ that are made from the code: `make pages` writes them, a test compares."""

import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from pydantic import SecretStr
from pydantic.fields import FieldInfo

from services.common.instruments import Entry
from services.common.metrics import Metrics
from services.common.settings import PREFIX, Settings
from services.common.topics import WORKERS, Topics
from services.gateway_api.routing.problem_types import PROBLEM_TYPES

OPENTELEMETRY = (
    ("metric `messaging.process.duration`", "`coursepay_stage_duration_seconds`"),
    ("metric `messaging.client.consumed.messages`", "`coursepay_stage_results_total`"),
    ("metric `messaging.client.sent.messages`", "`coursepay_outbox_published_total`, for what the gateway sends"),
    (
        "metric `http.server.request.duration`",
        "`coursepay_confirmation_duration_seconds`, for the one that is promised",
    ),
    (
        "span `process {destination}`",
        "one for each attempt, below the payment's first span, linked to its `send`; `coursepay.outcome`, `.attempt`",
    ),
    (
        "span `send {destination}`",
        "one for each record, until Kafka has acknowledged it; the header `send-span` tells the next attempt of it",
    ),
    (
        "spans of the types `receive` and `settle`",
        "none: a poll and a commit of offsets are of hundreds of records, and of no one's trace",
    ),
    ("`error.type`", "log field `error_class`"),
    ("exemplar `trace_id`", "on the histograms of confirmations, stages and end to end, while the trace is sampled"),
    ("`messaging.destination.name`", "label `topic` of `coursepay_consumer_lag_messages`"),
    ("`messaging.consumer.group.name`", "labels `group` and `worker`"),
    ("`messaging.destination.partition.id`, `messaging.kafka.offset`", "log fields `partition`, `offset`"),
    ("span `replay`, a producer's, with a link", "begins the trace of a replayed record; `coursepay.replay.id`"),
)
_NOTE = "This page is made from the code by `make pages`."


def metrics_page() -> str:
    rows = [
        (f"`{entry.name}`", entry.kind, _labels_of(name), _owners(entry), entry.question)
        for name, entry in catalogue().items()
    ]
    table = _table(("metric", "kind", "labels", "measured by", "the question that it answers"), rows)
    return f"""# Metrics

{_NOTE} The catalogue is `services/common/metrics.py`; an alert or a panel may use nothing else.
Every service exposes every name; one that only some services measure has no samples elsewhere.
Known label values are exported as 0 from the start.

{table}

## OpenTelemetry's names

Metrics have names of our own, because an objective of 2 s needs a bucket at 2 s and a stage means more to a reader than
an operation. Spans have the names of OpenTelemetry's messaging conventions. What corresponds to what:

{_table(("OpenTelemetry", "here"), OPENTELEMETRY)}
"""


def problems_page() -> str:
    sections = "\n\n".join(f"## {slug}\n\n{problem.text}" for slug, problem in PROBLEM_TYPES.items())
    return f"""# Problems

{_NOTE} Errors of the HTTP API are `application/problem+json` (RFC 9457). A client may switch on `type`, which is
`/problems/` and one of these words; the gateway serves the same texts there. `instance` is the id of the request in
the logs.

{sections}
"""


def settings_page() -> str:
    rows = [
        (f"`{PREFIX}{name.upper()}`", _default(field.default), _told(field))
        for name, field in Settings.model_fields.items()
    ]
    return f"""# Settings

{_NOTE} All are environment variables; `coursepay settings` prints their values, secrets masked.
A wrong one is a sentence that names it, and exit code 2.

A secret (🔑) may stand in a file instead: `COURSEPAY_STRIPE_API_KEY_FILE=/run/secrets/stripe` reads what is in it, less
the line end. Both at once, and a file that cannot be read or is empty, are refused.

{_table(("variable", "default", "what it is"), rows)}
"""


PAGES: Mapping[str, Callable[[], str]] = {
    "metrics.md": metrics_page,
    "problems.md": problems_page,
    "settings.md": settings_page,
}


def catalogue() -> dict[str, Entry]:
    """Metric name -> its entry."""
    return {entry.name: entry for entry in _metrics("operations").catalogue}


def label_values(name: str) -> dict[str, tuple[str, ...]]:
    """Label -> the values that any service exports from the start; none where they are only known later."""
    found: dict[str, list[str]] = {}
    for service in ("gateway", *WORKERS, "operations"):
        entry = next(entry for entry in _metrics(service).catalogue if entry.name == name)
        for label, values in entry.labels.items():
            known = found.setdefault(label, [])
            known.extend(value for value in values if value not in known)
    return {label: tuple(values) for label, values in found.items()}


def _metrics(service: str) -> Metrics:
    # The defaults, whatever is set here: a page must not depend on who makes it.
    delays_s = {
        tier: float(tier.removesuffix("s")) for tier in Settings.model_fields["retry_delays"].default.split(",")
    }
    return Metrics(service, Topics(prefix="", delays_s=delays_s, partitions=1, replication_factor=1))


def _labels_of(name: str) -> str:
    return "<br>".join(
        f"{label}: {' '.join(f'`{value}`' for value in values)}" if values else label
        for label, values in label_values(name).items()
    )


def _owners(entry: Entry) -> str:
    return "all" if entry.owners is None else ", ".join(sorted(entry.owners))


def _told(field: FieldInfo) -> str:
    return " ".join(part for part in ("🔑" if field.annotation is SecretStr else "", field.description) if part)


def _default(value: object) -> str:
    if isinstance(value, SecretStr) or value in {None, ""}:
        return ""
    return f"`{value}`"


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', '&#124;') for cell in line)} |" for line in lines)


def main(directory: Path) -> None:
    for name, page in PAGES.items():
        (directory / name).write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
