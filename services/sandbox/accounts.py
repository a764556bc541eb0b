"""The keys and secrets of the simulators, and the settings with which coursepay talks to them.

They are no secrets: everyone has them, and a gateway that trusts them sells courses for nothing. `sandbox env`
therefore refuses in production.
"""

from dataclasses import dataclass

from services.common.settings import PREFIX, Settings, split_secrets

_KEY_ID = "rzp_test_sandbox"
_KEY_SECRET = "sandbox-key-secret"  # noqa: S105 - public on purpose
_WEBHOOK_SECRET = "sandbox-webhook-secret"  # noqa: S105 - public on purpose
_STRIPE_KEY = "sk_test_sandbox"
_STRIPE_WEBHOOK_SECRET = "whsec_sandbox"  # noqa: S105 - public on purpose


@dataclass(frozen=True, slots=True, kw_only=True)
class RazorpayAccount:
    """What a merchant and the provider share. `webhook_url`: where events go; empty: nowhere."""

    key_id: str
    key_secret: bytes
    webhook_secret: bytes
    webhook_url: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StripeAccount:
    """What a merchant and the provider share. `webhook_url`: where events go; empty: nowhere."""

    api_key: bytes
    webhook_secret: bytes
    webhook_url: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Accounts:
    razorpay: RazorpayAccount
    stripe: StripeAccount


def sandbox_accounts(settings: Settings, gateway_url: str | None = None) -> Accounts:
    """The settings' own values where they are set, so that a sandbox beside a configured gateway fits it.

    `gateway_url`: who gets the webhooks, by default the gateway of the settings; empty: nobody.
    """
    if gateway_url is None:
        gateway_url = f"http://{settings.gateway_host}:{settings.gateway_port}"
    hooks = f"{gateway_url}/api/v1/webhooks/" if gateway_url else ""
    return Accounts(
        razorpay=_razorpay_account(settings, hooks and f"{hooks}razorpay"),
        stripe=StripeAccount(
            api_key=(settings.stripe_api_key.get_secret_value() or _STRIPE_KEY).encode(),
            webhook_secret=next(iter(split_secrets(settings.stripe_webhook_secrets)), _STRIPE_WEBHOOK_SECRET.encode()),
            webhook_url=hooks and f"{hooks}stripe",
        ),
    )


def sandbox_environment(accounts: Accounts, base_url: str) -> dict[str, str]:
    """Variable name -> value, for the services that shall use the sandbox at `base_url`."""
    razorpay, stripe = accounts.razorpay, accounts.stripe
    values = {
        "RAZORPAY_KEY_ID": razorpay.key_id,
        "RAZORPAY_KEY_SECRETS": razorpay.key_secret.decode(),
        "RAZORPAY_WEBHOOK_SECRETS": razorpay.webhook_secret.decode(),
        "RAZORPAY_BASE_URL": base_url,
        "STRIPE_API_KEY": stripe.api_key.decode(),
        "STRIPE_WEBHOOK_SECRETS": stripe.webhook_secret.decode(),
        "STRIPE_BASE_URL": base_url,
        "COURSE_SERVICE_URL": base_url,
        "PUSH_URL": base_url,
    }
    return {PREFIX + name: value for name, value in values.items()}


def _razorpay_account(settings: Settings, webhook_url: str) -> RazorpayAccount:
    return RazorpayAccount(
        key_id=settings.razorpay_key_id or _KEY_ID,
        key_secret=next(iter(split_secrets(settings.razorpay_key_secrets)), _KEY_SECRET.encode()),
        webhook_secret=next(iter(split_secrets(settings.razorpay_webhook_secrets)), _WEBHOOK_SECRET.encode()),
        webhook_url=webhook_url,
    )
