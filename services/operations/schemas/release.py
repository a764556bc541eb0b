"""Releasing new versions of events: ids, golden bytes and fingerprints, from a schema and an example each."""

import io
import shutil
import tempfile
from dataclasses import replace
from pathlib import Path

import fastavro
import orjson

from services.common.codec import SCHEMAS_DIRECTORY
from services.common.errors import ConfigurationError
from services.operations.schemas.check import check_schemas
from services.operations.schemas.files import (
    IDS,
    RELEASED,
    Version,
    from_json,
    read_ids,
    read_released,
    read_versions,
    write_json,
)


def release(directory: Path = SCHEMAS_DIRECTORY) -> tuple[Version, ...]:
    """Releases every version that has no fingerprint yet; beside its .avsc stands its .example.json. Writers go on
    with the version that WRITER_VERSIONS says. Raises ConfigurationError, and leaves the files as they were, when a
    rule would be broken.
    """
    released = read_released(directory)
    pending = tuple(version for version in read_versions(directory) if version.key not in released)
    for version in pending:
        if not version.example_path.exists():
            raise ConfigurationError(f"{version.key}.example.json is missing: an event of that version, as JSON")
    # Tried out on a copy, so that a refused release leaves nothing behind.
    with tempfile.TemporaryDirectory() as name:
        copy = Path(shutil.copytree(directory, Path(name) / "schemas"))
        for version in pending:
            _write(replace(version, directory=copy))
        findings = check_schemas(copy)
    if findings:
        raise ConfigurationError(f"not released: {'; '.join(findings)}")
    for version in pending:
        _write(version)
    return pending


def _write(version: Version) -> None:
    directory, key = version.directory, version.key
    version.golden_path.write_text(_encode(version).hex() + "\n")
    ids = read_ids(directory)
    write_json(directory / IDS, {**ids, key: ids.get(key, max(ids.values(), default=0) + 1)})
    write_json(directory / RELEASED, {**read_released(directory), key: version.fingerprint()})


def _encode(version: Version) -> bytes:
    schema = version.schema()
    buffer = io.BytesIO()
    try:
        # Strict: an example with a misspelt field must not pass by that field's default.
        fastavro.schemaless_writer(
            buffer, fastavro.parse_schema(schema), from_json(schema, version.example()), strict_allow_default=True
        )
    except (ValueError, TypeError, KeyError, orjson.JSONDecodeError) as error:
        raise ConfigurationError(f"{version.example_path.name} does not fit its schema: {error}") from None
    return buffer.getvalue()
