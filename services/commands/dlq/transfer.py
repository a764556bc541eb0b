"""`coursepay dlq export` and `import`: dead letters as lines of JSON and back, byte for byte."""

import asyncio
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Annotated, BinaryIO

import typer

from services.commands.dlq.options import Json, Worker, check_worker, takes_filter
from services.commands.dlq.session import console, print_json, run_verb
from services.common.runtime import EXIT_OK
from services.common.topics import Topics
from services.operations.replay.choosing.filters import Filter
from services.operations.replay.choosing.scanning import scan_whatever_was_decided
from services.operations.replay.execution import Tools
from services.operations.replay.transfer import from_lines, to_line

_CHUNK_RECORDS = 500


@takes_filter
def export(
    worker: Worker,
    chosen: Filter,
    *,
    out: Annotated[Path | None, typer.Option(help="default: stdout")] = None,
) -> None:
    """Write dead letters as lines of JSON with bytes in base64; filters choose, whatever was decided about them."""
    check_worker(worker)

    async def verb(tools: Tools, _stop: asyncio.Event) -> int:
        count = 0
        with _open(out) as file:
            async for letter in scan_whatever_was_decided(tools.settings, tools.codec, worker, chosen):
                file.write(to_line(letter.record))
                count += 1
        console(json=True).print(f"{count} records", markup=False)
        return EXIT_OK

    run_verb(verb)


def import_(
    worker: Worker,
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="of `dlq export`")],
    *,
    execute: Annotated[bool, typer.Option("--execute", help="without it the file is only checked")] = False,
    json: Json = False,
) -> None:
    """Append exported records to WORKER's dead letters, with the same key, value and headers."""
    check_worker(worker)

    async def verb(tools: Tools, _stop: asyncio.Event) -> int:
        topic = Topics.of(tools.settings).dead_letters(worker)
        with file.open("rb") as lines:
            count = sum(1 for _ in from_lines(lines, topic))
        if execute:
            with file.open("rb") as lines:
                records = from_lines(lines, topic)
                while chunk := list(islice(records, _CHUNK_RECORDS)):
                    await tools.producer.send_all(chunk)
        if json:
            print_json({"worker": worker, "topic": topic, "executed": execute, "records": count})
        else:
            what = "appended to" if execute else "are valid and would be appended (--execute) to"
            console().print(f"{count} records {what} {topic}", markup=False)
        return EXIT_OK

    run_verb(verb)


@contextmanager
def _open(path: Path | None) -> Iterator[BinaryIO]:
    if path is None:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
    else:
        with path.open("wb") as file:
            yield file
