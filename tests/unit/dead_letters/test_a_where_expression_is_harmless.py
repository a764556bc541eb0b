"""`--where` says which letters, and nothing else can be said with it."""

import time
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.operations.replay.choosing.expressions import CHARACTERS_MAX, compile_where
from services.operations.replay.choosing.filters import NAMES
from services.operations.replay.refusals import BadFilterError

SEEN: dict[str, Any] = {
    "headers": {"error-kind": "transient", "error-class": "RaiseError"},
    "event": {
        "order_id": "ord_1",
        "amount_minor": 500_000,
        "currency": "INR",
        "schedule": {"weekdays": [1, 3], "mode": "online", "latitude": None},
        "confirmed_at": "2026-11-01T12:00:00+00:00",
    },
    "event_type": "PaymentSucceeded",
    "order_id": "ord_1",
    "key": "ord_1",
    "kind": "transient",
    "partition": 3,
    "replay_count": 0,
}


def holds(text: str) -> bool:
    return compile_where(text, NAMES)(SEEN)


@pytest.mark.parametrize(
    "text",
    [
        "amount_minor == 500000",
        "amount_minor > 100 and currency == 'INR'",
        "event.amount_minor >= 500000",
        "event['currency'] in ('INR', 'EUR')",
        "headers['error-kind'] == 'transient'",
        "schedule.mode == 'online' and 3 in schedule.weekdays",
        "schedule.weekdays[0] == 1",
        "schedule.latitude is None",
        "confirmed_at > '2026-10-31' and confirmed_at < '2026-11-02'",
        "order_id.startswith('ord_') and not order_id.endswith('_2')",
        "currency.lower() == 'inr'",
        "1 < partition <= 3",
        "kind != 'poison' or replay_count < 3",
        "replay_count > -1",
        "unheard_of is None",
        "headers['unheard-of'] is None",
        "event_type == 'PaymentSucceeded'",
        "  kind == 'transient'  ",
    ],
)
def test_what_holds_is_taken(text: str) -> None:
    assert holds(text)


@pytest.mark.parametrize(
    "text",
    [
        "amount_minor > 500000",
        "unheard_of > 3",
        "currency < 3",
        "amount_minor.startswith('5')",
        "schedule.weekdays[9] == 1",
        "3 in amount_minor",
        "not kind",
        "order_id.unheard_of",
    ],
)
def test_what_does_not_hold_is_left(text: str) -> None:
    assert not holds(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "kind ==",
        "kind = 'poison'",
        "__import__('os').system('true')",
        "open('/etc/passwd')",
        "().__class__.__bases__[0].__subclasses__()",
        "kind.__class__",
        "event.__init__",
        "kind.format(event)",
        "kind.encode()",
        "'a'.join(kind)",
        "kind.startswith(*headers)",
        "kind.startswith(prefix='t')",
        "lambda: 1",
        "[x for x in headers]",
        "{**headers}",
        "f'{kind}'",
        "kind if kind else kind",
        "(kind := 'poison')",
        "9 ** 9 ** 9",
        "'a' * 10_000_000",
        "1 + 1 == 2",
        "amount_minor << 1_000_000",
        "~amount_minor",
        "-kind",
        "headers[kind]",
        "headers[1:2]",
        "b'bytes' == kind",
        "1j == 1",
        "... == kind",
        "await kind",
        "yield",
        "import os",
        "kind; kind",
        "kind\nkind",
        "\0",
        "(" * 400 + "1" + ")" * 400,
        "not " * 240 + "kind",
        "kind == 1 or " * 70 + "kind == 1",
        "[" * 190 + "]" * 190,
        "x" * (CHARACTERS_MAX + 1),
    ],
)
def test_anything_else_is_refused_in_one_sentence(text: str) -> None:
    with pytest.raises(BadFilterError) as refused:
        compile_where(text, NAMES)
    assert str(refused.value).startswith("--where")
    assert "\n" not in str(refused.value)


WORDS = (
    "kind event headers __class__ . [ ] ( ) 'a' 1 == in and not ** lambda: * , { } : startswith lower - is \\ \" # f'"
)
PIECES = st.sampled_from([*WORDS.split(), " ", "\n"])


@given(st.one_of(st.text(max_size=200), st.lists(PIECES, max_size=40).map("".join)))
def test_whatever_is_typed_is_refused_or_answers_soon(text: str) -> None:
    began_s = time.process_time()
    with suppress(BadFilterError):
        assert compile_where(text, NAMES)(SEEN) in {True, False}
    assert time.process_time() - began_s < 1
