"""The files of schemas/: what was released, and the bytes that prove it.

<event>/<version>.avsc           the schema; never edited once released
<event>/<version>.example.json   an event of that version, for people and for the golden bytes
<event>/<version>.golden         the same event as Avro, in hex; today's reader must understand it for ever
ids.json                         schema ids in frames
released.json                    SHA-256 of each released schema and its golden bytes
"""

import hashlib
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path

import orjson

from services.common.codec import SCHEMAS_DIRECTORY
from services.common.events import EVENT_TYPES
from services.operations.schemas.shapes import Json

IDS = "ids.json"
RELEASED = "released.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """One version of an event's schema. `event` is the folder, e.g. payment_succeeded."""

    directory: Path
    event: str
    number: int

    @property
    def key(self) -> str:
        """As in ids.json: payment_succeeded/1."""
        return f"{self.event}/{self.number}"

    @property
    def type_name(self) -> str:
        return "".join(part.capitalize() for part in self.event.split("_"))

    @property
    def schema_path(self) -> Path:
        return self.directory / f"{self.key}.avsc"

    @property
    def example_path(self) -> Path:
        return self.directory / f"{self.key}.example.json"

    @property
    def golden_path(self) -> Path:
        return self.directory / f"{self.key}.golden"

    def schema(self) -> Json:
        return orjson.loads(self.schema_path.read_bytes())

    def example(self) -> Json:
        return orjson.loads(self.example_path.read_bytes())

    def golden(self) -> bytes:
        return bytes.fromhex(self.golden_path.read_text())

    def fingerprint(self) -> dict[str, str]:
        """What released.json holds for this version."""
        return {
            "schema": hashlib.sha256(self.schema_path.read_bytes()).hexdigest(),
            "golden": hashlib.sha256(self.golden_path.read_bytes()).hexdigest(),
        }


def read_versions(directory: Path = SCHEMAS_DIRECTORY) -> tuple[Version, ...]:
    """By event, oldest first."""
    paths = [path for path in directory.glob("*/*.avsc") if path.stem.isdecimal()]
    found = [Version(directory=directory, event=path.parent.name, number=int(path.stem)) for path in paths]
    return tuple(sorted(found, key=lambda version: (version.event, version.number)))


def find_version(directory: Path, key: str) -> Version | None:
    return next((version for version in read_versions(directory) if version.key == key), None)


def read_ids(directory: Path) -> dict[str, int]:
    return dict(orjson.loads((directory / IDS).read_bytes()))


def read_released(directory: Path) -> dict[str, dict[str, str]]:
    path = directory / RELEASED
    return dict(orjson.loads(path.read_bytes())) if path.exists() else {}


def write_json(path: Path, content: object) -> None:
    path.write_bytes(orjson.dumps(content, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))


def from_json(schema: Json, value: Json) -> Json:
    """An example's JSON as the values that fastavro writes: ISO 8601 texts become dates and times."""
    match schema:
        case {"logicalType": "timestamp-micros"}:
            return datetime.fromisoformat(value)
        case {"logicalType": "date"}:
            return date.fromisoformat(value)
        case {"type": "record", "fields": fields}:
            return {
                field["name"]: from_json(field["type"], value[field["name"]])
                for field in fields
                if field["name"] in value
            }
        case {"type": "array", "items": items}:
            return [from_json(items, item) for item in value]
    return value


def missing_events(versions: tuple[Version, ...]) -> list[str]:
    """Event types of the code that have no schema."""
    return sorted(EVENT_TYPES.keys() - {version.type_name for version in versions})
