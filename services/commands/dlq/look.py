"""`coursepay dlq ls`, `stats` and `show`: nothing here changes anything."""

import asyncio
from collections.abc import Sequence
from dataclasses import asdict
from typing import Annotated, Any

import typer
from rich.table import Table

from services.commands.dlq.options import Json, Worker, check_worker, parse_place, takes_filter
from services.commands.dlq.session import console, print_json, run_verb
from services.common.runtime import EXIT_OK
from services.common.topics import Topics
from services.operations.dead_letter_index import DeadLetterIndex
from services.operations.replay.choosing.filters import STATUSES, Filter
from services.operations.replay.choosing.letters import Letter
from services.operations.replay.choosing.overview import Depth, Histogram, depths, histogram
from services.operations.replay.choosing.scanning import read_planned, scan_whatever_was_decided
from services.operations.replay.choosing.standing import Standing, standings
from services.operations.replay.execution import Tools
from services.operations.replay.refusals import RefusedError
from services.operations.replay.steady import steadily

_TOP = 15
_MESSAGE_CHARACTERS = 200
# Enough to see that somebody sends JSON, or another system's frames.
_BEGINNING_BYTES = 64
_TRACE_PARTS = 4


def ls(*, json: Json = False) -> None:
    """How many dead letters there are, how old, how many still matter."""

    async def verb(tools: Tools, _stop: asyncio.Event) -> int:
        await _index(tools)
        found = await depths(tools.settings, tools.database)
        if json:
            print_json({"workers": [asdict(depth) for depth in found]})
        else:
            console().print(_depth_table(found))
        return EXIT_OK

    run_verb(verb)


@takes_filter
def stats(worker: Worker, chosen: Filter, *, json: Json = False) -> None:
    """What the dead letters have in common: by fingerprint, class, kind, origin, hour and replay count."""
    check_worker(worker)

    async def verb(tools: Tools, _stop: asyncio.Event) -> int:
        found = await histogram(scan_whatever_was_decided(tools.settings, tools.codec, worker, chosen))
        if json:
            print_json(asdict(found))
        else:
            _print_histogram(worker, found)
        return EXIT_OK

    run_verb(verb)


def show(
    worker: Worker, place: Annotated[str, typer.Argument(metavar="PARTITION:OFFSET")], *, json: Json = False
) -> None:
    """One dead letter: its event, its headers, its trace, and whether its order is done."""
    check_worker(worker)
    partition, offset = parse_place(place)

    async def verb(tools: Tools, _stop: asyncio.Event) -> int:
        topic = Topics.of(tools.settings).dead_letters(worker)
        async for _, record in read_planned(tools.settings, topic, [(partition, offset)]):
            if record is None:
                raise RefusedError(
                    f"{topic} has no record at {place}; `coursepay dlq stats {worker}` shows what it has"
                )
            letter = Letter(record, tools.codec)
            await _index(tools)
            async with tools.database.connection() as connection:
                standing = (await standings(connection, topic, [letter.place]))[letter.place]
            shown = _letter_json(letter, standing)
            if json:
                print_json(shown)
            else:
                _print_letter(shown)
        return EXIT_OK

    run_verb(verb)


async def _index(tools: Tools) -> None:
    await steadily(DeadLetterIndex(tools.settings, tools.database, tools.codec).update)


def _depth_table(found: Sequence[Depth]) -> Table:
    table = Table(title="dead letters")
    for name in ("worker", "in the topic", "last hour", *STATUSES, "oldest unresolved"):
        table.add_column(name, justify="left" if name == "worker" else "right")
    for depth in found:
        counts = [str(depth.statuses.get(status, 0)) for status in STATUSES]
        style = "bold red" if depth.statuses.get("unresolved") else ""
        age = "" if depth.oldest_s is None else _age(depth.oldest_s)
        table.add_row(depth.worker, str(depth.records), str(depth.last_hour), *counts, age, style=style)
    return table


def _print_histogram(worker: str, found: Histogram) -> None:
    out = console()
    out.print(f"[bold]{worker}[/bold]: {found.records} dead letters")
    table = Table(title="by fingerprint")
    for name in ("fingerprint", "records", "kind", "class", "to show", "message"):
        table.add_column(name, justify="right" if name == "records" else "left", no_wrap=name != "message")
    for fingerprint, group in sorted(found.groups.items(), key=lambda pair: -pair[1].records)[:_TOP]:
        counted = (fingerprint, str(group.records), group.kind, group.error_class)
        table.add_row(*counted, group.example, group.message[:_MESSAGE_CHARACTERS])
    out.print(table)
    for dimension in ("origin", "hour", "replay_count"):
        counts = found.by.get(dimension, {})
        table = Table(title=f"by {dimension.replace('_', ' ')}", show_header=False)
        for value, count in sorted(counts.items(), key=lambda pair: pair[0])[-_TOP:]:
            table.add_row(value, str(count))
        out.print(table)


def _letter_json(letter: Letter, standing: Standing) -> dict[str, Any]:
    record = letter.record
    traceparent = record.header("traceparent") or ""
    parts = traceparent.split("-")
    return {
        "topic": record.topic,
        "partition": record.partition,
        "offset": record.offset,
        "timestamp_ms": record.timestamp_ms,
        "order_id": letter.order_id,
        "status": standing.status,
        "done": standing.done,
        "trace_id": parts[1] if len(parts) == _TRACE_PARTS else None,
        "headers": {name: None if value is None else value.decode(errors="replace") for name, value in record.headers},
        "event_type": None if letter.event is None else type(letter.event).__name__,
        "event": letter.fields or None,
        "undecodable": letter.undecodable,
        "value_bytes": len(record.value or b""),
        "value_begins": repr((record.value or b"")[:_BEGINNING_BYTES]) if letter.undecodable else None,
    }


def _print_letter(shown: dict[str, Any]) -> None:
    out = console()
    table = Table(show_header=False, title=f"{shown['topic']} {shown['partition']}:{shown['offset']}")
    for name in ("order_id", "status", "done", "trace_id", "event_type", "undecodable", "value_bytes", "value_begins"):
        table.add_row(name, str(shown[name]))
    for name, value in shown["headers"].items():
        table.add_row(f"header {name}", str(value))
    for name, value in (shown["event"] or {}).items():
        table.add_row(f"event {name}", str(value))
    out.print(table, markup=False)


def _age(seconds: float) -> str:
    for unit_s, unit in ((86400, "d"), (3600, "h"), (60, "m")):
        if seconds >= unit_s:
            return f"{seconds / unit_s:.1f} {unit}"
    return f"{seconds:.0f} s"
