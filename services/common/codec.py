"""Event <-> bytes in Confluent's wire format: 0x00, four bytes big-endian schema id, Avro body.

Framed by hand with fastavro, so that every Kafka UI can read the records and nothing needs a registry to start.
`schemas/ids.json` fixes the ids. The version that writers use is pinned in WRITER_VERSIONS, apart from ids.json:
raise one only after a release whose readers know the new version is everywhere.
With SCHEMA_REGISTRY_URL every released schema must be registered there under `<topic>-value`; the registry's ids are
then used in frames instead of ours. The registry is asked at start only: handling never depends on it, and an id that
appears later is transient until a restart (see Codec.decode).
Sources: Confluent Schema Registry, "Wire format", and its API, `POST /subjects/(subject)`.
"""

import io
import re
import struct
from collections.abc import Mapping
from dataclasses import dataclass, fields
from operator import attrgetter
from pathlib import Path
from typing import Any

import aiohttp
import fastavro
import orjson
from fastavro.types import Schema
from tenacity import AsyncRetrying, retry_if_exception_type, stop_after_delay, wait_exponential_jitter

from services.common.errors import ConfigurationError, DependencyError, PoisonError, TransientError
from services.common.events import EVENT_TYPES, Event, Schedule
from services.common.limits import HTTP_BODY_BYTES_MAX, HTTP_CALL_S, REGISTRY_START_S
from services.common.settings import Settings
from services.common.topics import TYPE_TOPICS
from services.common.validation import validate

SCHEMAS_DIRECTORY = Path(__file__).resolve().parents[2] / "schemas"
WRITER_VERSIONS: Mapping[str, int] = dict.fromkeys(EVENT_TYPES, 1)
_HEADER = struct.Struct(">bI")
_MAGIC = 0
# `dataclasses.asdict` copies every value deeply, which takes longer than the encoding.
_NAMES = {kind: tuple(field.name for field in fields(kind)) for kind in (*EVENT_TYPES.values(), Schedule)}
_GETTERS = {kind: attrgetter(*names) for kind, names in _NAMES.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class EncodedEvent:
    """The bare Avro body with what is needed to frame it later. The outbox stores it like this, so that a registry
    that is away never fails a payment.
    """

    type: str
    version: int
    body: bytes


class Codec:
    """Encodes and decodes events; immutable and cheap to share. Construct with `load_codec()`."""

    def __init__(self, schemas: Mapping[tuple[str, int], Schema], ids: Mapping[tuple[str, int], int]) -> None:
        self._schemas = schemas
        self._ids = ids
        self._by_id = {schema_id: key for key, schema_id in ids.items()}
        self._readers = {name: schemas[name, WRITER_VERSIONS[name]] for name in EVENT_TYPES}

    @property
    def released(self) -> tuple[tuple[str, int], ...]:
        """(event type, version) of every released schema."""
        return tuple(self._schemas)

    def with_ids(self, ids: Mapping[tuple[str, int], int]) -> "Codec":
        """The same schemas under a registry's ids."""
        return Codec(self._schemas, ids)

    def encode(self, event: Event) -> EncodedEvent:
        name = type(event).__name__
        version = WRITER_VERSIONS[name]
        buffer = io.BytesIO()
        fastavro.schemaless_writer(buffer, self._schemas[name, version], _fields(event))
        return EncodedEvent(type=name, version=version, body=buffer.getvalue())

    def frame(self, encoded: EncodedEvent) -> bytes:
        return _HEADER.pack(_MAGIC, self._ids[encoded.type, encoded.version]) + encoded.body

    def encode_framed(self, event: Event) -> bytes:
        return self.frame(self.encode(event))

    def decode(self, value: bytes | None, key: bytes | None) -> Event:
        """Raises PoisonError for bytes that no writer of ours produced, TransientError for an unknown schema id
        (a newer writer, during a deploy).
        """
        if value is None or key is None:
            raise PoisonError("null value" if value is None else "null key", cause_class="NullRecord")
        if len(value) <= _HEADER.size or value[0] != _MAGIC:
            raise PoisonError("not Confluent wire format", cause_class="BadFrame")
        _, schema_id = _HEADER.unpack_from(value)
        written = self._by_id.get(schema_id)
        if written is None:
            raise TransientError(f"schema id {schema_id} is not known to this release", cause_class="UnknownSchema")
        event = self._decode_body(written, value)
        validate(event)
        if event.order_id.encode() != key:
            raise PoisonError("the key is not the order id", cause_class="InvalidValue")
        return event

    def decode_body(self, encoded: EncodedEvent) -> Event:
        """Of an outbox row."""
        return self._decode_body((encoded.type, encoded.version), b"\0" * _HEADER.size + encoded.body)

    def _decode_body(self, written: tuple[str, int], value: bytes) -> Event:
        name = written[0]
        stream = io.BytesIO(value)
        stream.seek(_HEADER.size)
        try:
            fields: Any = fastavro.schemaless_reader(stream, self._schemas[written], self._readers[name])
            event = _build(name, fields)
        # fastavro raises EOFError, IndexError, OverflowError, UnicodeDecodeError, ValueError ... on hostile bytes.
        except Exception as error:  # noqa: BLE001 - whatever garbage raises, the record is poison
            raise PoisonError(
                f"{type(error).__name__} while decoding {name}", cause_class=type(error).__name__
            ) from None
        if stream.tell() != len(value):
            raise PoisonError("trailing bytes after the event", cause_class="TrailingBytes")
        return event


def load_codec(directory: Path = SCHEMAS_DIRECTORY) -> Codec:
    """Reads ids.json and every released schema."""
    ids: dict[tuple[str, int], int] = {}
    schemas: dict[tuple[str, int], Schema] = {}
    for path, schema_id in orjson.loads((directory / "ids.json").read_bytes()).items():
        snake, version = path.split("/")
        key = (_camel_case(snake), int(version))
        ids[key] = schema_id
        schemas[key] = fastavro.parse_schema(orjson.loads((directory / f"{path}.avsc").read_bytes()))
    return Codec(schemas, ids)


def snake_case(name: str) -> str:
    """PaymentSucceeded -> payment_succeeded, the folder in schemas/."""
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()


def _camel_case(snake: str) -> str:
    return "".join(part.capitalize() for part in snake.split("_"))


def _fields(value: Event | Schedule) -> dict[str, Any]:
    kind = type(value)
    found: dict[str, Any] = dict(zip(_NAMES[kind], _GETTERS[kind](value), strict=True))
    if isinstance(found.get("schedule"), Schedule):
        found["schedule"] = _fields(found["schedule"])
    return found


def _build(name: str, fields: dict[str, Any]) -> Event:
    schedule = fields.get("schedule")
    if schedule is not None:
        schedule["weekdays"] = tuple(schedule["weekdays"])
        schedule["flexibility"] = tuple(schedule["flexibility"])
        fields["schedule"] = Schedule(**schedule)
    return EVENT_TYPES[name](**fields)


async def open_codec(settings: Settings) -> Codec:
    """Raises ConfigurationError when the registry lacks a released schema, DependencyError when it stays away for
    REGISTRY_START_S seconds.
    """
    codec = load_codec()
    if settings.schema_registry_url is None:
        return codec
    timeout = aiohttp.ClientTimeout(total=HTTP_CALL_S)
    async with aiohttp.ClientSession(base_url=settings.schema_registry_url, timeout=timeout) as http:
        ids = {key: await _registered_id(http, settings.kafka_topic_prefix, *key) for key in codec.released}
    return codec.with_ids(ids)


async def _registered_id(http: aiohttp.ClientSession, prefix: str, event_type: str, version: int) -> int:
    subject = f"{prefix}{TYPE_TOPICS[event_type]}-value"
    schema = (SCHEMAS_DIRECTORY / snake_case(event_type) / f"{version}.avsc").read_text()
    tries = AsyncRetrying(
        retry=retry_if_exception_type((aiohttp.ClientConnectionError, TimeoutError)),
        stop=stop_after_delay(REGISTRY_START_S),
        wait=wait_exponential_jitter(multiplier=0.2, max=5.0),
        reraise=True,
    )
    try:
        async for attempt in tries:
            with attempt:
                return await _look_up(http, subject, schema)
    except (aiohttp.ClientError, TimeoutError, ValueError) as error:
        raise DependencyError(f"schema registry: {error!r}", dependency="schema_registry") from error
    raise AssertionError("tenacity returns or raises")


async def _look_up(http: aiohttp.ClientSession, subject: str, schema: str) -> int:
    async with http.post(f"/subjects/{subject}", json={"schema": schema, "schemaType": "AVRO"}) as response:
        body = await response.content.read(HTTP_BODY_BYTES_MAX)
        if response.status == 404:
            raise ConfigurationError(
                f"the schema registry does not have the released schema of {subject}; register it before starting"
            )
        response.raise_for_status()
    found = orjson.loads(body)
    try:
        return int(found["id"])
    except (TypeError, KeyError) as error:
        raise ValueError(f"no id for {subject}") from error
