"""Dead letters as lines of JSON and back, without losing a byte: keys, values and header values are in base64."""

import base64
import binascii
from collections.abc import Iterable, Iterator

import orjson

from services.engine.records import Header, OutgoingRecord, Record
from services.operations.replay.refusals import BadFilterError


def to_line(record: Record) -> bytes:
    return orjson.dumps(
        {
            "topic": record.topic,
            "partition": record.partition,
            "offset": record.offset,
            "timestamp_ms": record.timestamp_ms,
            "key": _encoded(record.key),
            "value": _encoded(record.value),
            "headers": [[name, _encoded(value)] for name, value in record.headers],
        },
        option=orjson.OPT_APPEND_NEWLINE,
    )


def from_lines(lines: Iterable[bytes], topic: str) -> Iterator[OutgoingRecord]:
    """For `topic`, whichever the lines name. Raises BadFilterError naming the line that is none."""
    for number, line in enumerate(lines, start=1):
        if line.strip():
            yield _from_line(line, number, topic)


def _from_line(line: bytes, number: int, topic: str) -> OutgoingRecord:
    try:
        told = orjson.loads(line)
        headers: tuple[Header, ...] = tuple((str(name), _decoded(value)) for name, value in told["headers"])
        return OutgoingRecord(topic=topic, key=_decoded(told["key"]), value=_decoded(told["value"]), headers=headers)
    except (KeyError, TypeError, ValueError, binascii.Error) as error:
        raise BadFilterError(f"line {number} is none that `coursepay dlq export` wrote: {error}") from None


def _encoded(value: bytes | None) -> str | None:
    return None if value is None else base64.b64encode(value).decode()


def _decoded(value: str | None) -> bytes | None:
    return None if value is None else base64.b64decode(value, validate=True)
