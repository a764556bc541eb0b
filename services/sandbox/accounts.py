"""The keys and secrets of the simulators, and the settings with which coursepay talks to them.

They are no secrets: everyone has them, and a gateway that trusts them sells courses for nothing. `sandbox env`
therefore refuses in production.
"""

from dataclasses import dataclass

from services.common.settings import PREFIX, Settings, split_secrets

_KEY_ID = "rzp_test_sandbox"
_KEY_SECRET = "sandbox-key-secret"  # noqa: S105 - public on purpose
_WEBHOOK_SECRET = "sandbox-webhook-secret"  # noqa: S105 - public on purpose


@dataclass(frozen=True, slots=True, kw_only=True)
class RazorpayAccount:
    """What a merchant and the provider share. `webhook_url`: where events go; empty: nowhere."""

    key_id: str
    key_secret: bytes
    webhook_secret: bytes
    webhook_url: str


def razorpay_account(settings: Settings, webhook_url: str | None = None) -> RazorpayAccount:
    """The settings' own values where they are set, so that a sandbox beside a configured gateway fits it."""
    default_url = f"http://{settings.gateway_host}:{settings.gateway_port}/api/v1/webhooks/razorpay"
    return RazorpayAccount(
        key_id=settings.razorpay_key_id or _KEY_ID,
        key_secret=next(iter(split_secrets(settings.razorpay_key_secrets)), _KEY_SECRET.encode()),
        webhook_secret=next(iter(split_secrets(settings.razorpay_webhook_secrets)), _WEBHOOK_SECRET.encode()),
        webhook_url=default_url if webhook_url is None else webhook_url,
    )


def sandbox_environment(account: RazorpayAccount, base_url: str) -> dict[str, str]:
    """Variable name -> value, for the services that shall use the sandbox at `base_url`."""
    values = {
        "RAZORPAY_KEY_ID": account.key_id,
        "RAZORPAY_KEY_SECRETS": account.key_secret.decode(),
        "RAZORPAY_WEBHOOK_SECRETS": account.webhook_secret.decode(),
        "RAZORPAY_BASE_URL": base_url,
        "COURSE_SERVICE_URL": base_url,
        "PUSH_URL": base_url,
    }
    return {PREFIX + name: value for name, value in values.items()}
