"""What the gateway asks of a payment provider."""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from services.common.errors import PermanentError
from services.gateway_api.providers.verified import VerifiedPayment


class ProviderRefusedError(PermanentError):
    """The provider said no, and will say no again. `status` is its HTTP status."""

    def __init__(self, provider: str, status: int) -> None:
        super().__init__(f"{provider} answered {status}", cause_class=f"Http{status}")
        self.status = status


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderOrder:
    """An order as the provider knows it. `public_key` and `client_secret` are what its checkout page needs."""

    provider_order_id: str
    public_key: str
    client_secret: str | None


class Provider(Protocol):
    """Calls over HTTP raise DependencyError when the provider is away, ProviderRefusedError when it says no."""

    @property
    def name(self) -> str: ...

    async def create_order(
        self, *, amount_minor: int, currency: str, receipt: str, notes: Mapping[str, str]
    ) -> ProviderOrder:
        """`receipt` is our order id; a repeated one gets the same order."""

    def read_callback(self, fields: Mapping[str, object], body: bytes) -> VerifiedPayment | str:
        """What a browser brought. A provider that signs it: the fact; raises InvalidSignatureError. One that does not:
        the id of its order, to ask about.
        """

    def read_webhook(self, headers: Mapping[str, str], body: bytes) -> VerifiedPayment:
        """Raises InvalidSignatureError. A genuine event that is unknown or makes no sense is a fact without meaning."""

    async def fetch_order(self, provider_order_id: str, *, within_s: float) -> Sequence[VerifiedPayment]:
        """Every payment of an order, as it is now."""

    async def fetch_payment(self, payment_id: str, *, within_s: float) -> VerifiedPayment:
        """One payment, as it is now."""

    async def refund(
        self, payment_id: str, *, amount_minor: int | None, key: str, within_s: float
    ) -> VerifiedPayment | None:
        """The refund as it is now. `amount_minor` None: all that is left, and the answer None when nothing is. A
        repeated `key` refunds once.
        """

    def list_facts(self, since: datetime, until: datetime) -> AsyncIterator[VerifiedPayment | ProviderRefusedError]:
        """Every payment, refund and dispute that was made in that time, as it is now. An order is named where the
        provider does so. What the provider refuses to tell comes as its error, and the rest after it.
        """
