"""What a decoded event may contain.

About one in eleven random mutants of an Avro record decodes without an error, so decoding alone proves nothing.
"""

import re
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

from services.common.errors import PoisonError
from services.common.events import (
    AllocationPending,
    Event,
    PaymentAdjusted,
    PaymentSucceeded,
    PurchaseAdjusted,
    PurchaseCreated,
    Schedule,
    TrainerAssigned,
)

TIERS = frozenset({10, 20, 30})
GENDERS = frozenset({"female", "male"})
MODES = frozenset({"online", "in_person"})
PAYMENT_STATUSES = frozenset(
    {"created", "succeeded", "failed", "review", "partially_refunded", "refunded", "disputed", "charged_back"}
)
PURCHASE_STATUSES = frozenset({"active", "frozen", "revoked", "expired"})
_MINOR_UNITS_MAX = 10**15
_WEEKDAYS = frozenset(range(1, 8))
_FOREVER = timedelta(days=366 * 200)
# PostgreSQL takes the first four for abbreviations: winter time all year. The others are the machine's own, or nowhere.
_NO_PLACES = frozenset({"CET", "EET", "MET", "WET", "localtime", "posixrules", "Factory"})
# Of the whole tree, which PostgreSQL's has not.
_COPIES = ("posix/", "right/")

is_id: Callable[[str], object] = re.compile(r"[A-Za-z0-9_-]{1,64}\Z").match
is_currency: Callable[[str], object] = re.compile(r"[A-Z]{3}\Z").match
is_time_slot: Callable[[str], object] = re.compile(r"(?:[01][0-9]|2[0-3]):[0-5][0-9]\Z").match


@lru_cache(maxsize=1024)
def is_time_zone(name: str) -> bool:
    """An IANA name that means the same hours to zoneinfo and to PostgreSQL. Keys with dots or a leading slash never
    reach the file system.
    """
    if name in _NO_PLACES or name.startswith(_COPIES):
        return False
    if re.fullmatch(r"[A-Za-z0-9_+-]{1,30}(?:/[A-Za-z0-9_+-]{1,30}){0,2}", name) is None:
        return False
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        return False
    return True


def validate(event: Event) -> None:
    """Raises PoisonError naming the first field that no writer of ours could have produced."""
    _VALIDATORS[type(event)](event)


def _require(condition: object, field: str) -> None:
    if not condition:
        raise PoisonError(f"value out of range: {field}", cause_class="InvalidValue")


def _require_ids(event: Event, *fields: str) -> None:
    for field in fields:
        _require(is_id(getattr(event, field)), field)


def _require_time(value: datetime, field: str) -> None:
    now = datetime.now(value.tzinfo)
    _require(abs(value - now) < _FOREVER, field)


def _require_metadata(metadata: Mapping[str, str]) -> None:
    for key, value in metadata.items():
        # PostgreSQL's jsonb cannot hold U+0000.
        _require("\0" not in key and "\0" not in value, "metadata")


def _require_schedule(schedule: Schedule) -> None:
    _require(2000 <= schedule.start_date.year <= 2200, "schedule.start_date")
    _require(is_time_slot(schedule.time_slot), "schedule.time_slot")
    weekdays = schedule.weekdays
    _require(1 <= len(weekdays) <= 7 and set(weekdays) <= _WEEKDAYS, "schedule.weekdays")
    _require(is_time_zone(schedule.time_zone), "schedule.time_zone")
    _require(15 <= schedule.duration_minutes <= 480, "schedule.duration_minutes")
    _require(schedule.mode in MODES, "schedule.mode")
    _require(schedule.preferred_gender is None or schedule.preferred_gender in GENDERS, "schedule.preferred_gender")
    latitude, longitude = schedule.latitude, schedule.longitude
    _require((latitude is None) == (longitude is None), "schedule.latitude")
    _require(latitude is None or -90 <= latitude <= 90, "schedule.latitude")
    _require(longitude is None or -180 <= longitude <= 180, "schedule.longitude")


def _validate_payment_succeeded(event: PaymentSucceeded) -> None:
    _require_ids(event, "order_id", "payment_id", "provider", "student_id", "course_id")
    _require(event.purchase_tier in TIERS, "purchase_tier")
    _require(0 <= event.amount_minor <= _MINOR_UNITS_MAX, "amount_minor")
    _require(is_currency(event.currency), "currency")
    _require_time(event.confirmed_at, "confirmed_at")
    _require_schedule(event.schedule)
    _require_metadata(event.metadata)


def _validate_payment_adjusted(event: PaymentAdjusted) -> None:
    _require_ids(event, "order_id")
    _require(event.status in PAYMENT_STATUSES, "status")
    _require(0 <= event.amount_minor <= _MINOR_UNITS_MAX, "amount_minor")
    _require(0 <= event.refunded_minor <= event.amount_minor, "refunded_minor")
    _require(is_currency(event.currency), "currency")
    _require(event.sequence >= 0, "sequence")
    _require_time(event.occurred_at, "occurred_at")


def _validate_purchase_created(event: PurchaseCreated) -> None:
    _require_ids(event, "order_id", "student_id", "course_id")
    _require(event.purchase_tier in TIERS, "purchase_tier")
    _require_time(event.purchase_date, "purchase_date")
    _require_time(event.expiry_date, "expiry_date")
    _require_schedule(event.schedule)
    _require_metadata(event.metadata)


def _validate_purchase_adjusted(event: PurchaseAdjusted) -> None:
    _require_ids(event, "order_id", "student_id", "course_id")
    _require(event.status in PURCHASE_STATUSES, "status")
    _require(0 <= event.sessions_total <= max(TIERS), "sessions_total")
    _require(event.sequence >= 0, "sequence")


def _validate_trainer_assigned(event: TrainerAssigned) -> None:
    _require_ids(event, "order_id", "student_id", "course_id", "trainer_id")
    _require(0 <= event.session_count <= max(TIERS), "session_count")
    _require_time(event.first_session_at, "first_session_at")


def _validate_allocation_pending(event: AllocationPending) -> None:
    _require_ids(event, "order_id", "student_id", "course_id")
    _require(0 < len(event.reason) <= 4096, "reason")


_VALIDATORS: Mapping[type, Callable[[Any], None]] = {
    PaymentSucceeded: _validate_payment_succeeded,
    PaymentAdjusted: _validate_payment_adjusted,
    PurchaseCreated: _validate_purchase_created,
    PurchaseAdjusted: _validate_purchase_adjusted,
    TrainerAssigned: _validate_trainer_assigned,
    AllocationPending: _validate_allocation_pending,
}
