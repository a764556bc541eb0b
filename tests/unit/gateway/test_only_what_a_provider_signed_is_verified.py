"""Signatures: what is genuine, what is not, and that nonsense is only ever not genuine."""

from typing import Any, cast

import aiohttp
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr
from structlog.testing import capture_logs

from services.common.settings import Settings
from services.gateway_api.providers import InvalidSignatureError, Proof, VerifiedPayment, load_providers
from services.gateway_api.providers.calls import ProviderApi
from services.gateway_api.providers.meanings import Meaning
from services.gateway_api.providers.razorpay import Razorpay
from services.gateway_api.providers.stripe import Stripe
from services.gateway_api.providers.verified import check_hmac
from tests.support.payment_providers import (
    NOW,
    OLD_KEY_SECRET,
    STRIPE_SECRET,
    callback,
    hmac_hex,
    razorpay_event,
    razorpay_payment,
    razorpay_without_network,
    stripe_headers,
    stripe_without_network,
    webhook_headers,
)

# A genuine signature, of another order.
VECTOR = "b2335e3b0801106b84a7faff035df56ecffde06918c9ddd1f0fafbb37a51cc89"


def test_an_old_secret_is_live_and_told_apart() -> None:
    provider = razorpay_without_network()
    assert provider.read_callback(callback("order_1", "pay_1"), b"").proof.position == 1
    assert provider.read_callback(callback("order_1", "pay_1", secret=OLD_KEY_SECRET), b"").proof.position == 2
    with pytest.raises(InvalidSignatureError):
        provider.read_callback(callback("order_1", "pay_1", secret=b"another"), b"")


def test_a_webhook_may_be_signed_with_either_live_secret() -> None:
    """For the day on which one takes the other's place."""
    body, no_api = razorpay_event("ping"), cast("ProviderApi", None)
    razorpay = Razorpay(no_api, key_id="id", key_secrets=(b"k",), webhook_secrets=(b"new", b"old"))
    stripe = Stripe(no_api, webhook_secrets=(b"new", b"old"), clock=lambda: NOW)
    for position, secret in enumerate((b"new", b"old"), start=1):
        assert razorpay.read_webhook(webhook_headers(body, secret=secret), body).proof.position == position
        assert stripe.read_webhook(stripe_headers(body, secret=secret), body).proof.position == position
    with pytest.raises(InvalidSignatureError):
        razorpay.read_webhook(webhook_headers(body, secret=b"older"), body)
    with pytest.raises(InvalidSignatureError):
        stripe.read_webhook(stripe_headers(body, secret=b"older"), body)


SECRETS = {
    "razorpay": {"razorpay_key_id": "id", "razorpay_key_secrets": "a", "razorpay_webhook_secrets": "b"},
    "stripe": {"stripe_api_key": "a", "stripe_webhook_secrets": "b"},
}


@pytest.mark.parametrize("name", list(SECRETS))
def test_a_provider_that_lacks_a_secret_is_off(name: str) -> None:
    given = {setting: SecretStr(value) if value != "id" else value for setting, value in SECRETS[name].items()}
    nobody, http = Settings(), cast("aiohttp.ClientSession", None)
    assert list(load_providers(nobody.model_copy(update=given), http)) == [name]
    for missing in given:
        lacking = {setting: value for setting, value in given.items() if setting != missing}
        with capture_logs() as lines:
            assert not load_providers(nobody.model_copy(update=lacking), http)
        assert [(line["provider"], line["setting"]) for line in lines] == [(name, f"COURSEPAY_{missing.upper()}")]
    with capture_logs() as lines:
        assert not load_providers(nobody, http)
    assert lines == []


def test_a_separator_inside_an_id_cannot_share_a_signature() -> None:
    # The SDK takes both: the signed text is the same.
    with pytest.raises(InvalidSignatureError):
        razorpay_without_network().read_callback(callback("order_a", "pay_b|c"), b"")
    with pytest.raises(InvalidSignatureError):
        razorpay_without_network().read_callback(callback("order_a|pay_b", "c"), b"")


NONSENSE: list[object] = [
    None,
    "",
    "é" * 64,
    "x" * 64,
    VECTOR.upper(),
    VECTOR + "\n",
    VECTOR[:-1],
    7,
    1e999,
    [],
    {},
    True,
]


@pytest.mark.parametrize("value", NONSENSE)
@pytest.mark.parametrize("field", ["razorpay_order_id", "razorpay_payment_id", "razorpay_signature"])
def test_nonsense_in_a_callback_is_an_invalid_signature(field: str, value: object) -> None:
    for fields in ({**callback("order_1", "pay_1"), field: value}, callback("order_1", "pay_1")):
        if fields.get(field) == value:
            with pytest.raises(InvalidSignatureError):
                razorpay_without_network().read_callback(fields, b"")


@pytest.mark.parametrize("missing", ["razorpay_order_id", "razorpay_payment_id", "razorpay_signature"])
def test_a_missing_field_is_an_invalid_signature(missing: str) -> None:
    fields = callback("order_1", "pay_1")
    del fields[missing]
    with pytest.raises(InvalidSignatureError):
        razorpay_without_network().read_callback(fields, b"")


@given(body=st.binary(max_size=400))
def test_a_genuine_body_of_any_kind_is_a_fact(body: bytes) -> None:
    said = razorpay_without_network().read_webhook(webhook_headers(body), body)
    assert (said.meaning, said.body) == (None, body)
    said = stripe_without_network().read_webhook(stripe_headers(body), body)
    assert (said.meaning, said.body) == (None, body)


values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


@given(name=st.sampled_from(["id", "order_id", "amount", "currency", "status", "amount_refunded"]), value=values)
def test_a_genuine_event_with_a_strange_value_is_a_fact(name: str, value: object) -> None:
    body = razorpay_event("payment.captured", payment=razorpay_payment(**{name: value}))
    said = razorpay_without_network().read_webhook(webhook_headers(body), body)
    assert said.amount_minor is None or 0 <= said.amount_minor <= 10**15
    assert said.provider_order_id in {None, "order_1"} or name == "order_id"


def test_the_entity_counts_when_the_events_name_disagrees() -> None:
    body = razorpay_event("payment.authorized", payment=razorpay_payment(status="captured"))
    said = razorpay_without_network().read_webhook(webhook_headers(body), body)
    assert (said.event, said.meaning) == ("payment.authorized", Meaning.CAPTURED)


STRIPE_BODY = b'{"id": "evt_1", "type": "payment_intent.succeeded"}'


@pytest.mark.parametrize("off_s", [-300, 0, 300])
def test_stripes_clock_may_be_off_by_five_minutes(off_s: int) -> None:
    stripe_without_network(NOW + off_s).read_webhook(stripe_headers(STRIPE_BODY), STRIPE_BODY)


@pytest.mark.parametrize("off_s", [-301, 301, 86_400, -86_400])
def test_stripes_clock_off_further_is_refused_in_both_directions(off_s: int) -> None:
    with pytest.raises(InvalidSignatureError):
        stripe_without_network(NOW + off_s).read_webhook(stripe_headers(STRIPE_BODY), STRIPE_BODY)


def test_any_of_several_signatures_of_stripe_may_fit() -> None:
    good = hmac_hex(STRIPE_SECRET, str(NOW).encode() + b"." + STRIPE_BODY)
    header = f"t={NOW},v1={'0' * 64},v0=old,v1={good}"
    stripe_without_network().read_webhook({"Stripe-Signature": header}, STRIPE_BODY)


SIGNED = stripe_headers(STRIPE_BODY)["Stripe-Signature"]
HEADERS = ["", "t", "t=", f"t={NOW}", "t=x,v1=y", f"t={NOW},v1=", f"t={NOW},t={NOW},{SIGNED.split(',')[1]}",
           f"t=-{NOW},v1=0", f"t={NOW}.0,{SIGNED.split(',')[1]}", "t=" + "9" * 5000, SIGNED.replace("v1", "v2"),
           SIGNED.upper(), "é,é=é", "," * 1000]  # fmt: skip


@pytest.mark.parametrize("header", HEADERS)
def test_nonsense_in_stripes_header_is_an_invalid_signature(header: str) -> None:
    with pytest.raises(InvalidSignatureError):
        stripe_without_network().read_webhook({"Stripe-Signature": header}, STRIPE_BODY)


def test_nothing_else_makes_a_verified_payment() -> None:
    with pytest.raises(TypeError):
        Proof()
    with pytest.raises(TypeError):
        VerifiedPayment(
            proof="trust me",  # type: ignore[arg-type]
            provider="razorpay", source="callback", event="callback", body=b"",
        )  # fmt: skip
    with pytest.raises(InvalidSignatureError):
        check_hmac((), b"", hmac_hex(b"", b""), how="callback hmac")
