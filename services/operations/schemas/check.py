"""Whether every reader understands every writer: the rules for schemas/, each a function over its files.

FULL_TRANSITIVE: any released version reads any other, so that services and topics may be of any age in any order.
Source: Confluent Schema Registry, "Schema Evolution and Compatibility"; Avro specification 1.12, "Schema Resolution".
"""

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from itertools import groupby, pairwise, permutations
from pathlib import Path

import orjson

from services.common.codec import SCHEMAS_DIRECTORY, WRITER_VERSIONS, EncodedEvent, load_codec
from services.common.errors import ConfigurationError, PoisonError
from services.common.validation import validate
from services.operations.schemas.files import (
    Version,
    find_version,
    missing_events,
    read_ids,
    read_released,
    read_versions,
)
from services.operations.schemas.shapes import Json, field_paths, find_memory_bombs, logical_types


def check_schemas(directory: Path = SCHEMAS_DIRECTORY) -> list[str]:
    """One sentence for each broken rule, none when all is well. Raises ConfigurationError without Apache Avro."""
    versions = read_versions(directory)
    findings = [f"{event} has no schema" for event in missing_events(versions)]
    findings += _check_names(versions)
    findings += _check_ids(versions, read_ids(directory))
    findings += _check_nothing_released_was_edited(directory, versions)
    for version in versions:
        findings += [f"{version.key}: {finding}" for finding in find_memory_bombs(version.schema())]
    for _, group in groupby(versions, key=lambda version: version.event):
        findings += _check_compatibility(tuple(group))
    # Bytes can only be read once the files fit together.
    return findings or [finding for version in versions for finding in _check_golden(version)]


def _check_names(versions: tuple[Version, ...]) -> Iterator[str]:
    for event, group in groupby(versions, key=lambda version: version.event):
        numbers = [version.number for version in group]
        if numbers != list(range(1, len(numbers) + 1)):
            yield f"{event}: versions are {numbers}; they count up from 1 without a gap"
        writers = WRITER_VERSIONS.get(Version(directory=Path(), event=event, number=1).type_name, 0)
        if writers not in numbers:
            yield f"{event}: the code writes version {writers}, which has no schema"
    for version in versions:
        schema = version.schema()
        if (schema.get("name"), schema.get("namespace")) != (version.type_name, "coursepay"):
            yield f"{version.key}: the record must be coursepay.{version.type_name}"


def _check_ids(versions: tuple[Version, ...], ids: Mapping[str, int]) -> Iterator[str]:
    for key in sorted({version.key for version in versions} - ids.keys()):
        yield f"{key} has no id in ids.json; `coursepay schemas release` gives it one"
    for key in sorted(ids.keys() - {version.key for version in versions}):
        yield f"ids.json knows {key}, but there is no such schema"
    if sorted(ids.values()) != list(range(1, len(ids) + 1)):
        yield "ids.json: each id is used once, counting up from 1"


def _check_nothing_released_was_edited(directory: Path, versions: tuple[Version, ...]) -> Iterator[str]:
    released = read_released(directory)
    for key, fingerprint in released.items():
        version = find_version(directory, key)
        if version is None:
            yield f"{key} was released and is gone; records of it are still in topics"
        elif not version.golden_path.exists():
            yield f"{key} was released and its golden bytes are gone"
        elif version.fingerprint() != fingerprint:
            yield f"{key} was released and has been edited since; undo that and make a new version"
    for version in versions:
        if version.key not in released:
            yield f"{version.key} is not released; `coursepay schemas release` does that"


def _check_compatibility(versions: tuple[Version, ...]) -> Iterator[str]:
    for reader, writer in permutations(versions, 2):
        problem = _incompatibility(reader.schema(), writer.schema())
        if problem:
            yield f"{reader.key} cannot read what {writer.key} wrote: {problem}"
    for older, newer in pairwise(versions):
        common = field_paths(older.schema()) & field_paths(newer.schema())
        before, after = logical_types(older.schema()), logical_types(newer.schema())
        for field in sorted(common):
            if before.get(field) != after.get(field):
                yield f"{newer.key}: {field} was {before.get(field)} and is now {after.get(field)}"


def _incompatibility(reader: Json, writer: Json) -> str | None:
    # A development dependency: services read and write with fastavro and never need it.
    try:
        from avro.compatibility import ReaderWriterCompatibilityChecker, SchemaCompatibilityType
        from avro.schema import parse
    except ImportError:
        raise ConfigurationError(
            "the schema check needs Apache Avro, which only the development environment has: make build"
        ) from None
    result = ReaderWriterCompatibilityChecker().get_compatibility(
        parse(orjson.dumps(reader).decode()), parse(orjson.dumps(writer).decode())
    )
    if result.compatibility is SchemaCompatibilityType.compatible:
        return None
    kinds = ", ".join(sorted(kind.value.replace("_", " ") for kind in result.incompatibilities))
    return f"{kinds} ({'; '.join(sorted(result.messages))})"


def _check_golden(version: Version) -> Iterator[str]:
    encoded = EncodedEvent(type=version.type_name, version=version.number, body=version.golden())
    try:
        event = load_codec(version.directory).decode_body(encoded)
        validate(event)
    except PoisonError as error:
        yield f"{version.key}: today's reader refuses its golden bytes: {error}"
        return
    decoded = orjson.loads(orjson.dumps(asdict(event)))
    for path in _differences(version.example(), decoded):
        yield f"{version.key}: today's reader sees another {path} in the golden bytes than the example says"


def _differences(example: Json, decoded: Json, path: str = "") -> Iterator[str]:
    """Fields of the example that the reader still has and sees differently; a later version may have dropped some."""
    if isinstance(example, dict) and isinstance(decoded, dict):
        for name in example.keys() & decoded.keys():
            yield from _differences(example[name], decoded[name], f"{path}.{name}".strip("."))
    elif example != decoded:
        yield path
