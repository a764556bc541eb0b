"""Payment providers: one small file each behind one protocol. A provider without secrets is switched off.

protocol.py   what the gateway asks of a provider;  meanings.py  what it may tell, in our words
verified.py   what a provider really said; only a check that succeeded makes one
calls.py      HTTP to a provider;  entities.py  reading what it sends;  lists.py  and lists of it
razorpay.py  stripe.py  cashfree.py, each with its entities beside it
"""

from collections.abc import Mapping

import aiohttp
import structlog

from services.common.settings import PREFIX, Settings, split_secrets
from services.gateway_api.providers.calls import ProviderApi
from services.gateway_api.providers.cashfree import Cashfree
from services.gateway_api.providers.protocol import Provider, ProviderOrder, ProviderRefusedError
from services.gateway_api.providers.razorpay import Razorpay, basic_auth
from services.gateway_api.providers.stripe import Stripe
from services.gateway_api.providers.verified import InvalidSignatureError, Proof, VerifiedPayment

__all__ = [
    "InvalidSignatureError",
    "Proof",
    "Provider",
    "ProviderOrder",
    "ProviderRefusedError",
    "VerifiedPayment",
    "load_providers",
]

log = structlog.get_logger()
_NEEDS = {
    "razorpay": ("razorpay_key_id", "razorpay_key_secrets", "razorpay_webhook_secrets"),
    "stripe": ("stripe_api_key", "stripe_webhook_secrets"),
    "cashfree": ("cashfree_client_id", "cashfree_client_secrets"),
}


def load_providers(settings: Settings, http: aiohttp.ClientSession) -> Mapping[str, Provider]:
    """Name -> provider, of those whose secrets are all set. One that lacks some of what it needs is a line in the log:
    it is off, and hardly on purpose.
    """
    for name, needs in _NEEDS.items():
        missing = [setting for setting in needs if not getattr(settings, setting)]
        if 0 < len(missing) < len(needs):
            log.error("provider_is_off", provider=name, setting=", ".join(PREFIX + one.upper() for one in missing))
    providers = (_razorpay(settings, http), _stripe(settings, http), _cashfree(settings, http))
    return {provider.name: provider for provider in providers if provider is not None}


def _razorpay(settings: Settings, http: aiohttp.ClientSession) -> Provider | None:
    key_secrets = split_secrets(settings.razorpay_key_secrets)
    webhook_secrets = split_secrets(settings.razorpay_webhook_secrets)
    if not (settings.razorpay_key_id and key_secrets and webhook_secrets):
        return None
    auth = basic_auth(settings.razorpay_key_id, key_secrets[0])
    return Razorpay(
        ProviderApi("razorpay", http, base_url=settings.razorpay_base_url, auth=auth),
        key_id=settings.razorpay_key_id,
        key_secrets=key_secrets,
        webhook_secrets=webhook_secrets,
    )


def _stripe(settings: Settings, http: aiohttp.ClientSession) -> Provider | None:
    api_key = settings.stripe_api_key.get_secret_value()
    webhook_secrets = split_secrets(settings.stripe_webhook_secrets)
    if not (api_key and webhook_secrets):
        return None
    api = ProviderApi("stripe", http, base_url=settings.stripe_base_url, auth=f"Bearer {api_key}")
    return Stripe(api, webhook_secrets=webhook_secrets)


def _cashfree(settings: Settings, http: aiohttp.ClientSession) -> Provider | None:
    secrets = split_secrets(settings.cashfree_client_secrets)
    if not (settings.cashfree_client_id and secrets):
        return None
    api = ProviderApi("cashfree", http, base_url=settings.cashfree_base_url, auth="")
    return Cashfree(api, client_id=settings.cashfree_client_id, client_secrets=secrets)
