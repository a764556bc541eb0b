"""Whatever arrives on a topic is a valid event, poison, or of an unknown schema; never a crash, never a hang."""

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from services.common.codec import EncodedEvent, load_codec
from services.common.errors import PoisonError, TransientError
from services.common.validation import validate
from services.operations.schemas.files import read_versions
from tests.support.events import payment_succeeded

CODEC = load_codec()
VERSIONS = read_versions()
FRAMES = [
    CODEC.frame(EncodedEvent(type=version.type_name, version=version.number, body=version.golden()))
    for version in VERSIONS
]
KEY = VERSIONS[0].example()["order_id"].encode()
MUTATION = st.tuples(
    st.sampled_from(["replace", "insert", "delete", "cut", "double"]), st.integers(0, 400), st.binary(max_size=12)
)


def mutate(frame: bytes, mutations: list[tuple[str, int, bytes]]) -> bytes:
    for kind, position, content in mutations:
        at = position % (len(frame) + 1)
        match kind:
            case "replace":
                frame = frame[:at] + content + frame[at + len(content) :]
            case "insert":
                frame = frame[:at] + content + frame[at:]
            case "delete":
                frame = frame[:at] + frame[at + len(content) :]
            case "cut":
                frame = frame[:at]
            case _:
                frame += frame[at:]
    return frame


def judge(value: bytes | None, key: bytes | None) -> str:
    """How the codec takes it; fails for anything but the three allowed answers."""
    try:
        event = CODEC.decode(value, key)
    except PoisonError:
        return "poison"
    except TransientError as error:
        return {"UnknownSchema": "unknown schema"}[error.cause_class]
    validate(event)
    assert event.order_id.encode() == key
    # What was accepted can be written and read again: it is an event in every respect.
    assert CODEC.decode(CODEC.encode_framed(event), key) == event
    return "event"


@settings(max_examples=2000, deadline=None, derandomize=True, database=None)
@given(frame=st.sampled_from(FRAMES), mutations=st.lists(MUTATION, max_size=3))
def test_a_mutant_of_an_event_never_crashes_the_codec(frame: bytes, mutations: list[tuple[str, int, bytes]]) -> None:
    judge(mutate(frame, mutations), KEY)


@settings(max_examples=1000, deadline=None, derandomize=True, database=None)
@given(schema_id=st.integers(1, len(VERSIONS)), body=st.binary(max_size=300))
@example(schema_id=1, body=b"\xff" * 300)
def test_noise_behind_a_good_header_never_crashes_the_codec(schema_id: int, body: bytes) -> None:
    judge(b"\0" + schema_id.to_bytes(4, "big") + body, KEY)


@pytest.mark.parametrize("frame", FRAMES, ids=[version.key for version in VERSIONS])
def test_an_event_that_ends_anywhere_too_early_is_poison(frame: bytes) -> None:
    assert {judge(frame[:length], KEY) for length in range(len(frame))} == {"poison"}


@pytest.mark.parametrize("frame", FRAMES, ids=[version.key for version in VERSIONS])
def test_bytes_behind_an_event_are_poison(frame: bytes) -> None:
    assert judge(frame, KEY) == "event"
    assert judge(frame + b"\0", KEY) == "poison"


def test_a_schema_of_tomorrow_is_not_the_records_fault() -> None:
    assert judge(b"\0" + (4711).to_bytes(4, "big") + b"anything", KEY) == "unknown schema"


@pytest.mark.parametrize(("value", "key"), [(None, KEY), (FRAMES[0], None), (b"", KEY), (b"\1" + FRAMES[0][1:], KEY)])
def test_what_is_no_record_of_ours_is_poison(value: bytes | None, key: bytes | None) -> None:
    assert judge(value, key) == "poison"


def test_another_key_than_the_order_id_is_poison() -> None:
    assert judge(FRAMES[0], b"ord_other") == "poison"


def test_a_claim_of_two_billion_weekdays_takes_neither_time_nor_memory() -> None:
    event = payment_succeeded("ord_bomb")
    frame = CODEC.encode_framed(event)
    weekdays = b"\x04\x02\x06\x00"  # two items, 1 and 3, then the end of the array
    assert frame.count(weekdays) == 1

    assert judge(frame.replace(weekdays, b"\xfe\xff\xff\xff\x0f\x02\x06\x00"), b"ord_bomb") == "poison"
