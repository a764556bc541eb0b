"""Golden bytes of every released version, read by today's code."""

from dataclasses import asdict

import orjson
import pytest

from services.common.codec import EncodedEvent, load_codec
from services.common.events import EVENT_TYPES
from services.operations.schemas.check import check_schemas
from services.operations.schemas.files import Version, read_versions

VERSIONS = read_versions()
CODEC = load_codec()


def test_the_schemas_of_this_release_break_no_rule() -> None:
    assert check_schemas() == []


def test_every_event_has_a_released_version() -> None:
    assert {version.type_name for version in VERSIONS} == set(EVENT_TYPES)


@pytest.mark.parametrize("version", VERSIONS, ids=lambda version: version.key)
def test_golden_bytes_are_read_as_the_example_says(version: Version) -> None:
    event = CODEC.decode_body(EncodedEvent(type=version.type_name, version=version.number, body=version.golden()))

    assert orjson.loads(orjson.dumps(asdict(event))) == version.example()


@pytest.mark.parametrize("version", VERSIONS, ids=lambda version: version.key)
def test_todays_writer_writes_the_golden_bytes_again(version: Version) -> None:
    encoded = EncodedEvent(type=version.type_name, version=version.number, body=version.golden())
    event = CODEC.decode_body(encoded)

    assert CODEC.encode(event) == encoded
    assert CODEC.decode(CODEC.encode_framed(event), event.order_id.encode()) == event
