"""Lists of providers: one item that makes no sense must not hide the others, as an answer about one thing would."""

from collections.abc import AsyncIterator, Callable, Sequence

import structlog

from services.common.errors import DependencyError
from services.gateway_api.providers.protocol import ProviderRefusedError
from services.gateway_api.providers.verified import VerifiedPayment

log = structlog.get_logger()
# All items, and what could be read of them.
Listed = tuple[list[object], Sequence[VerifiedPayment]]


async def unless_refused(
    facts: AsyncIterator[VerifiedPayment],
) -> AsyncIterator[VerifiedPayment | ProviderRefusedError]:
    """A list that the provider refuses ends with its error, so that the next one can follow."""
    try:
        async for fact in facts:
            yield fact
    except ProviderRefusedError as error:
        yield error


def read_items(provider: str, items: object, read: Callable[[object], VerifiedPayment]) -> Listed:
    """`read` raises DependencyError for what makes no sense; how many did so is logged."""
    listed: list[object] = items if isinstance(items, list) else []
    facts, unreadable = list[VerifiedPayment](), 0
    for item in listed:
        try:
            facts.append(read(item))
        except DependencyError:
            unreadable += 1
    if unreadable:
        log.warning("provider_items_unreadable", provider=provider, records=unreadable)
    return listed, facts
