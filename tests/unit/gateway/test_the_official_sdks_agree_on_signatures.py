"""Both providers' own SDKs as oracles: what they sign is genuine here, and nothing is genuine here that they refuse.

Where we refuse more, or answer where they raise something else than their own error, a test of its own names it.
"""

import time
from collections.abc import Callable

import pytest
import razorpay
import stripe
from hypothesis import given
from hypothesis import strategies as st

from services.gateway_api.providers import InvalidSignatureError
from tests.support.payment_providers import (
    KEY_SECRET,
    NOW,
    STRIPE_SECRET,
    WEBHOOK_SECRET,
    callback,
    razorpay_without_network,
    stripe_headers,
    stripe_without_network,
    webhook_headers,
)

BODY = b'{"id": "evt_1", "object": "event", "type": "payment_intent.succeeded"}'
GENUINE = stripe_headers(BODY)["Stripe-Signature"]
SIGNATURE = GENUINE.split("v1=")[1]
ids = st.from_regex(r"[A-Za-z0-9_]{1,64}", fullmatch=True)
Fields = dict[str, object]


def _is_genuine(check: Callable[[], object]) -> bool:
    """Whatever else than InvalidSignatureError comes out of our check fails the test."""
    try:
        check()
    except InvalidSignatureError:
        return False
    return True


def _sdk_takes(check: Callable[[], object]) -> bool:
    """The SDKs raise TypeError, KeyError and more on what a stranger may send."""
    try:
        check()
    except Exception:  # noqa: BLE001
        return False
    return True


def _razorpay_sdk_takes_callback(fields: Fields) -> bool:
    utility = razorpay.Client(auth=("id", KEY_SECRET.decode())).utility
    return _sdk_takes(lambda: utility.verify_payment_signature(fields))


def _razorpay_sdk_takes_webhook(body: bytes, signature: object) -> bool:
    utility = razorpay.Client(auth=("id", "secret")).utility
    return _sdk_takes(lambda: utility.verify_webhook_signature(body.decode(), signature, WEBHOOK_SECRET.decode()))


def _callback_is_genuine(fields: Fields) -> bool:
    return _is_genuine(lambda: razorpay_without_network().read_callback(fields, b""))


def _webhook_is_genuine(body: bytes, signature: str) -> bool:
    return _is_genuine(lambda: razorpay_without_network().read_webhook({"X-Razorpay-Signature": signature}, body))


def _stripe_sdk_takes(body: bytes, header: str) -> bool:
    """Without its tolerance, which is measured from the machine's clock."""
    return _sdk_takes(lambda: stripe.WebhookSignature.verify_header(body, header, STRIPE_SECRET.decode()))


def _stripe_is_genuine(body: bytes, header: str) -> bool:
    return _is_genuine(lambda: stripe_without_network().read_webhook({"Stripe-Signature": header}, body))


@given(order_id=ids, payment_id=ids)
def test_a_callback_that_is_genuine_here_is_genuine_for_razorpay(order_id: str, payment_id: str) -> None:
    fields = callback(order_id, payment_id)
    assert _razorpay_sdk_takes_callback(fields)
    assert razorpay_without_network().read_callback(fields, b"").payment_id == payment_id


@given(body=st.text(max_size=300).map(str.encode))
def test_a_webhook_that_razorpay_signs_is_genuine(body: bytes) -> None:
    headers = webhook_headers(body)
    assert _razorpay_sdk_takes_webhook(body, headers["X-Razorpay-Signature"])
    assert razorpay_without_network().read_webhook(headers, body).body == body


@given(body=st.text(max_size=300).map(str.encode), off_s=st.integers(-300, 300))
def test_a_webhook_that_stripes_sdk_signs_is_genuine(body: bytes, off_s: int) -> None:
    header = stripe.WebhookSignature.generate_signature_header(body.decode(), STRIPE_SECRET.decode(), NOW + off_s)
    assert _stripe_sdk_takes(body, header)
    assert stripe_without_network().read_webhook({"Stripe-Signature": header}, body).body == body


HOSTILE_HEADERS = [
    "", "t", "t=", "=", ",", f"t={NOW}", "t=x,v1=y", f"t={NOW},v1=", f"t={NOW},v0={SIGNATURE}", f"v1={SIGNATURE}",
    f"t={NOW}, v1={SIGNATURE}", f" t={NOW},v1={SIGNATURE}", f"t={NOW},v1={SIGNATURE}=x", f"t={NOW},v1={SIGNATURE} ",
    f"t={NOW},v1={SIGNATURE.upper()}", f"t=0{NOW},v1={SIGNATURE}", f"t=+{NOW},v1={SIGNATURE}",
    f"t={NOW}.0,v1={SIGNATURE}", f"t=-{NOW},v1={SIGNATURE}", f"t={NOW},t={NOW + 1},v1={SIGNATURE}",
    f"t={NOW + 1},t={NOW},v1={SIGNATURE}", f"t={'9' * 5000},v1={SIGNATURE}", f"t={NOW},v1={'0' * 64},v1={SIGNATURE}",
    f"t={NOW},v1=é{SIGNATURE}", f"t={NOW},v1={'é' * 64}", "é,é=é", f"T={NOW},V1={SIGNATURE}", f"t={NOW};v1={SIGNATURE}",
    f"t={NOW},v1={SIGNATURE[:-1]}", f"t={NOW},v1={SIGNATURE}\x00", GENUINE + ",", "," * 1000,
]  # fmt: skip
HOSTILE_BODIES = [BODY, BODY + b" ", b"", b"\xff\xfe", b"\x00", b"null", b"[" * 2000, BODY.replace(b"evt_1", b"evt_2")]


@pytest.mark.parametrize("body", HOSTILE_BODIES)
def test_no_header_is_genuine_here_that_stripes_sdk_refuses(body: bytes) -> None:
    for header in HOSTILE_HEADERS:
        assert _stripe_sdk_takes(body, header) or not _stripe_is_genuine(body, header), header


@given(data=st.data())
def test_a_changed_header_is_genuine_only_where_stripes_sdk_takes_it(data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(GENUINE)))
    end = data.draw(st.integers(start, min(len(GENUINE), start + 4)))
    put = data.draw(st.text(alphabet=st.sampled_from(" ,=tv10aAé\x00"), max_size=4))
    header = GENUINE[:start] + put + GENUINE[end:]
    assert _stripe_sdk_takes(BODY, header) or not _stripe_is_genuine(BODY, header)


HOSTILE_VALUES: list[object] = [
    None, "", "é" * 64, "x" * 64, "0" * 64, 7, 1e999, [], {}, True, b"\xff", "order_1|pay_1", "order_1\n", "\x00",
    "\ud800",
]  # fmt: skip


@pytest.mark.parametrize("field", ["razorpay_order_id", "razorpay_payment_id", "razorpay_signature"])
def test_no_callback_is_genuine_here_that_razorpays_sdk_refuses(field: str) -> None:
    genuine = callback("order_1", "pay_1")
    missing = {name: value for name, value in genuine.items() if name != field}
    tried = [missing, *({**genuine, field: value} for value in HOSTILE_VALUES)]
    for fields in tried:
        assert _razorpay_sdk_takes_callback(fields) or not _callback_is_genuine(fields), fields


@pytest.mark.parametrize("body", HOSTILE_BODIES)
def test_no_webhook_is_genuine_here_that_razorpays_sdk_refuses(body: bytes) -> None:
    genuine = webhook_headers(BODY)["X-Razorpay-Signature"]
    for signature in ("", genuine, genuine.upper(), genuine[:-1], genuine + "\n", "é" * 64, "0" * 64):
        assert _razorpay_sdk_takes_webhook(body, signature) or not _webhook_is_genuine(body, signature), signature


def test_a_time_to_come_is_refused_here_and_taken_by_stripes_sdk() -> None:
    tomorrow = int(time.time()) + 86_400
    header = stripe.WebhookSignature.generate_signature_header(BODY.decode(), STRIPE_SECRET.decode(), tomorrow)
    assert stripe.WebhookSignature.verify_header(BODY, header, STRIPE_SECRET.decode(), tolerance=300)
    with pytest.raises(InvalidSignatureError):
        stripe_without_network(time.time()).read_webhook({"Stripe-Signature": header}, BODY)


def test_what_makes_the_sdks_raise_other_errors_is_an_invalid_signature_here() -> None:
    with pytest.raises(UnicodeDecodeError):
        stripe.WebhookSignature.verify_header(b"\xff", GENUINE, STRIPE_SECRET.decode())
    assert not _stripe_is_genuine(b"\xff", GENUINE)
    with pytest.raises(TypeError):
        razorpay.Client(auth=("id", "secret")).utility.verify_webhook_signature("{}", "é" * 64, "secret")
    assert not _webhook_is_genuine(b"{}", "é" * 64)
