"""How long a purchase is valid, and how much of it is left after a refund. Pure."""

from collections.abc import Mapping
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

from services.common.errors import PermanentError
from services.common.events import Schedule

# What a payment's status means for the purchase. A payment that never succeeded has no purchase to change.
_PURCHASE_STATUS_OF: Mapping[str, str] = {
    "succeeded": "active",
    "partially_refunded": "active",
    "refunded": "revoked",
    "charged_back": "revoked",
    "disputed": "frozen",
    "review": "frozen",
}


def expiry_of(purchased_at: datetime, schedule: Schedule, days: int) -> datetime:
    """`days` after the purchase, or after the first day of the schedule in its own zone when that is later."""
    first_day = datetime.combine(schedule.start_date, time.min, tzinfo=ZoneInfo(schedule.time_zone))
    return max(purchased_at, first_day).astimezone(UTC) + timedelta(days=days)


def purchase_status_of(payment_status: str) -> str:
    """Raises PermanentError for a status that no succeeded payment can have."""
    try:
        return _PURCHASE_STATUS_OF[payment_status]
    except KeyError:
        raise PermanentError(
            f"a payment that is {payment_status} has no purchase to change", cause_class="ImpossibleStatus"
        ) from None


def sessions_left(purchase_tier: int, purchase_status: str, *, amount_minor: int, refunded_minor: int) -> int:
    """The share of the tier that is still paid, rounded up in the student's favour; nothing of a revoked purchase, by
    whichever way its money went back. `adjustments` never goes below the sessions already used.
    """
    if purchase_status == "revoked":
        return 0
    if amount_minor <= 0:
        return purchase_tier
    kept_minor = max(0, amount_minor - refunded_minor)
    return -(-purchase_tier * kept_minor // amount_minor)
