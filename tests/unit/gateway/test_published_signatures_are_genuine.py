"""Signatures that the providers' own SDKs publish or make, as facts: the secret, what was signed, the digest.

The first three stand in the tests of Razorpay's SDK. Two are of products that are not used here, but what Razorpay
signs is built alike, so that they hold the primitive. The SDKs publish no webhook with a body that could stand here:
those are ours, and the SDKs take them or have made them.
"""

from collections.abc import Callable
from typing import cast

import pytest
import razorpay
import stripe

from services.gateway_api.providers import InvalidSignatureError, VerifiedPayment
from services.gateway_api.providers.calls import ProviderApi
from services.gateway_api.providers.meanings import Meaning
from services.gateway_api.providers.razorpay import Razorpay
from services.gateway_api.providers.stripe import Stripe
from services.gateway_api.providers.verified import check_hmac

CALLBACK = "b2335e3b0801106b84a7faff035df56ecffde06918c9ddd1f0fafbb37a51cc89"
OTHER_PRODUCTS = {
    "subscription": (
        "pay_IDZNwZZFtnjyym|sub_ID6MOhgkcoHj9I",
        "601f383334975c714c91a7d97dd723eb56520318355863dcf3821c0d07a17693",
    ),
    "payment link": (
        "plink_IH3cNucfVEgV68|TSsd1989|paid|pay_IH3d0ara9bSsjQ",
        "07ae18789e35093e51d0a491eb9922646f3f82773547e5b0f67ee3f2d3bf7d5b",
    ),
}
OTHER_PRODUCTS_SECRET = b"EnLs21M47BllR3X8PSFtjtbd"
RAZORPAY_BODY = (
    b'{"event":"payment.authorized","payload":{"payment":{"entity":{"id":"fake_payment_id",'
    b'"order_id":"fake_order_id","amount":500000,"currency":"INR","status":"captured"}}}}'
)
RAZORPAY_WEBHOOK = "944e096caef028226d038281b8250ecba0a9cb94ddb6262cbf9e8350dbec31ce"
STRIPE_AT = 12345
STRIPE_BODY = b'{"id":"evt_1","object":"event","type":"payment_intent.succeeded"}'
STRIPE_WEBHOOK = "b6c27890e6d39f018e2b395e9960f90e2807c61022aef6dd64e3969d39e741d1"


def read_callback(
    order_id: str = "fake_order_id",
    payment_id: str = "fake_payment_id",
    digest: str = CALLBACK,
    key: str = "key_secret",
) -> VerifiedPayment:
    fields = {"razorpay_order_id": order_id, "razorpay_payment_id": payment_id, "razorpay_signature": digest}
    return _razorpay(key).read_callback(fields, b"{}")


def read_razorpay(
    body: bytes = RAZORPAY_BODY, digest: str = RAZORPAY_WEBHOOK, key: str = "key_secret"
) -> VerifiedPayment:
    return _razorpay(key).read_webhook({"X-Razorpay-Signature": digest}, body)


def read_stripe(
    body: bytes = STRIPE_BODY, digest: str = STRIPE_WEBHOOK, key: str = "whsec_test_secret", at: int = STRIPE_AT
) -> VerifiedPayment:
    provider = Stripe(cast("ProviderApi", None), webhook_secrets=(key.encode(),), clock=lambda: STRIPE_AT)
    return provider.read_webhook({"Stripe-Signature": f"t={at},v1={digest}"}, body)


def _razorpay(key: str) -> Razorpay:
    secrets = (key.encode(),)
    return Razorpay(cast("ProviderApi", None), key_id="id", key_secrets=secrets, webhook_secrets=secrets)


def _changed(text: str) -> list[str]:
    """With another character at each of its places in turn, of those that the text may hold."""
    return [f"{text[:at]}{'1' if text[at] == '0' else '0'}{text[at + 1 :]}" for at in range(len(text))]


def test_razorpays_published_callback_is_genuine() -> None:
    said = read_callback()
    assert (said.provider_order_id, said.payment_id, said.meaning) == (
        "fake_order_id", "fake_payment_id", Meaning.SIGNED,
    )  # fmt: skip
    _refuses(
        *[lambda text=text: read_callback(digest=text) for text in _changed(CALLBACK)],
        *[lambda text=text: read_callback(order_id=text) for text in _changed("fake_order_id")],
        *[lambda text=text: read_callback(payment_id=text) for text in _changed("fake_payment_id")],
        *[lambda text=text: read_callback(key=text) for text in _changed("key_secret")],
    )


@pytest.mark.parametrize("product", list(OTHER_PRODUCTS))
def test_razorpays_published_signatures_of_other_products_fit(product: str) -> None:
    message, digest = OTHER_PRODUCTS[product]
    secrets = (b"older", OTHER_PRODUCTS_SECRET)
    assert check_hmac(secrets, message.encode(), digest, how=product).position == 2
    _refuses(
        *[lambda text=text: check_hmac(secrets, message.encode(), text, how="") for text in _changed(digest)],
        *[lambda text=text: check_hmac(secrets, text.encode(), digest, how="") for text in _changed(message)],
    )


def test_a_webhook_that_razorpays_sdk_takes_is_genuine() -> None:
    sdk = razorpay.Client(auth=("id", "secret")).utility
    assert sdk.verify_webhook_signature(RAZORPAY_BODY.decode(), RAZORPAY_WEBHOOK, "key_secret")
    said = read_razorpay()
    assert (said.event, said.provider_order_id, said.payment_id) == (
        "payment.authorized", "fake_order_id", "fake_payment_id",
    )  # fmt: skip
    _refuses(
        *[lambda text=text: read_razorpay(digest=text) for text in _changed(RAZORPAY_WEBHOOK)],
        *[lambda text=text: read_razorpay(body=text.encode()) for text in _changed(RAZORPAY_BODY.decode())],
        *[lambda text=text: read_razorpay(key=text) for text in _changed("key_secret")],
    )


def test_a_webhook_that_stripes_sdk_signed_is_genuine() -> None:
    signed = stripe.WebhookSignature.generate_signature_header(STRIPE_BODY.decode(), "whsec_test_secret", STRIPE_AT)
    assert signed == f"t={STRIPE_AT},v1={STRIPE_WEBHOOK}"
    assert read_stripe().provider_event_id == "evt_1"
    _refuses(
        *[lambda text=text: read_stripe(digest=text) for text in _changed(STRIPE_WEBHOOK)],
        *[lambda text=text: read_stripe(body=text.encode()) for text in _changed(STRIPE_BODY.decode())],
        *[lambda text=text: read_stripe(key=text) for text in _changed("whsec_test_secret")],
        # Still within the five minutes: it is the signature that it breaks.
        lambda: read_stripe(at=STRIPE_AT + 1),
    )


def _refuses(*checks: Callable[[], object]) -> None:
    for check in checks:
        with pytest.raises(InvalidSignatureError):
            check()
