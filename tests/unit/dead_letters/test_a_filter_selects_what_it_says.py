from dataclasses import asdict

import pytest

from services.commands.dlq.options import make_filter, parse_place, parse_time_ms
from services.common.codec import load_codec
from services.common.errors import ConfigurationError
from services.engine.records import Record
from services.operations.replay.choosing.filters import Filter, check_filter, matcher
from services.operations.replay.choosing.letters import Letter
from services.operations.replay.refusals import BadFilterError
from tests.support.events import payment_succeeded
from tests.support.kafka import text_headers

CODEC = load_codec()


def letter(**overrides: object) -> Letter:
    """Died at 1,000 ms at 1:10."""
    headers: dict[str, str | int] = {
        "error_kind": "transient",
        "error_class": "RaiseError",
        "error_fingerprint": "f00d",
        "replay_count": 1,
    }
    record = {
        "topic": "purchase-worker.dlq",
        "partition": 1,
        "offset": 10,
        "timestamp_ms": 1_000,
        "key": b"ord_1",
        "value": CODEC.encode_framed(payment_succeeded("ord_1")),
        "headers": text_headers(**headers),
    }
    return Letter(Record(**{**record, **overrides}), CODEC)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "chosen",
    [
        Filter(),
        Filter(partition=1),
        Filter(from_offset=10, to_offset=11),
        Filter(from_time_ms=1_000, to_time_ms=1_001),
        Filter(order_id="ord_1"),
        Filter(error_class="RaiseError"),
        Filter(kind="transient"),
        Filter(fingerprint="f00d"),
        Filter(replay_count_lt=2),
        Filter(where="amount_minor == 500000"),
        Filter(partition=1, kind="transient", where="headers['error-class'] == 'RaiseError'"),
    ],
)
def test_a_letter_that_fits_is_taken(chosen: Filter) -> None:
    check_filter(chosen)
    assert matcher(chosen)(letter())


@pytest.mark.parametrize(
    "chosen",
    [
        Filter(partition=0),
        Filter(from_offset=11),
        Filter(to_offset=10),
        Filter(from_time_ms=1_001),
        Filter(to_time_ms=1_000),
        Filter(order_id="ord_10"),
        Filter(error_class="Raise"),
        Filter(kind="poison"),
        Filter(fingerprint="f00"),
        Filter(replay_count_lt=1),
        Filter(where="amount_minor == 1"),
        Filter(partition=1, kind="poison"),
    ],
)
def test_one_that_differs_in_a_single_point_is_not(chosen: Filter) -> None:
    assert not matcher(chosen)(letter())


def test_poison_is_found_by_its_key_and_headers() -> None:
    poison = letter(value=b"\xff\xfe")
    assert poison.event is None
    assert poison.undecodable == "not Confluent wire format"
    assert matcher(Filter(order_id="ord_1", where="event_type is None"))(poison)
    nobody = letter(key=None, value=None, headers=())
    assert matcher(Filter(kind="unknown", where="key is None"))(nobody)


@pytest.mark.parametrize(
    "chosen",
    [
        Filter(kind="sad"),
        Filter(statuses=("lost",)),
        Filter(from_offset=5, to_offset=5),
        Filter(from_time_ms=5, to_time_ms=4),
        Filter(where="kind ="),
    ],
)
def test_a_slip_is_no_empty_selection(chosen: Filter) -> None:
    with pytest.raises(BadFilterError):
        check_filter(chosen)


def test_a_filter_survives_a_plan_file() -> None:
    chosen = Filter(partition=0, where="kind == 'poison'", statuses=("parked",), limit=3)
    assert Filter.from_json(chosen.to_json()) == chosen
    with pytest.raises(BadFilterError, match="'color'"):
        Filter.from_json({"color": "red"})


def test_times_are_utc_unless_they_say_otherwise() -> None:
    assert parse_time_ms("1970-01-01T00:00:02") == 2_000
    assert parse_time_ms("1970-01-01T05:30:02+05:30") == 2_000
    assert abs(parse_time_ms("90m") - (parse_time_ms("1m") - 89 * 60_000)) < 5_000
    with pytest.raises(ConfigurationError, match="no time"):
        parse_time_ms("yesterday")


def test_a_place_is_a_partition_and_an_offset() -> None:
    assert parse_place("3:1042") == (3, 1042)
    for wrong in ("3", "3:", ":4", "a:b", "3:4:5", "-1:4", "3:-4"):
        with pytest.raises(ConfigurationError):
            parse_place(wrong)


def test_options_become_a_filter() -> None:
    given = {name: None for name in asdict(Filter()) if name not in {"from_time_ms", "to_time_ms", "statuses"}}
    assert make_filter(from_time=None, to_time=None, status=None, **given) == Filter()
    with pytest.raises(ConfigurationError):
        make_filter(from_time=None, to_time=None, status=["lost"], **given)
