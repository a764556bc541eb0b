"""Events for tests, valid unless a field is overridden."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

from services.common.events import (
    PaymentAdjusted,
    PaymentSucceeded,
    PurchaseCreated,
    Schedule,
    adjustment_event_id,
    order_event_id,
    purchase_id_of,
)


def schedule(**overrides: object) -> Schedule:
    fields: dict[str, Any] = {
        "start_date": date(2027, 1, 4),
        "time_slot": "18:00",
        "weekdays": (1, 3),
        "time_zone": "Asia/Kolkata",
        "duration_minutes": 60,
        "mode": "online",
    }
    return Schedule(**fields | overrides)


def payment_succeeded(order_id: str, **overrides: object) -> PaymentSucceeded:
    fields: dict[str, Any] = {
        "event_id": order_event_id("PaymentSucceeded", order_id),
        "order_id": order_id,
        "payment_id": f"pay_{order_id}",
        "provider": "razorpay",
        "student_id": "student-1",
        "course_id": "course-0001",
        "purchase_tier": 10,
        "amount_minor": 500_000,
        "currency": "INR",
        "confirmed_at": datetime(2026, 11, 1, 12, 0, 0, 123456, tzinfo=UTC),
        "schedule": schedule(),
        "metadata": {},
    }
    return PaymentSucceeded(**fields | overrides)


def payment_adjusted(order_id: str, **overrides: object) -> PaymentAdjusted:
    """Half of the amount of `payment_succeeded` came back."""
    sequence = overrides.get("sequence", 1)
    assert isinstance(sequence, int)
    fields: dict[str, Any] = {
        "event_id": adjustment_event_id("PaymentAdjusted", order_id, sequence),
        "order_id": order_id,
        "status": "partially_refunded",
        "amount_minor": 500_000,
        "refunded_minor": 250_000,
        "currency": "INR",
        "sequence": sequence,
        "occurred_at": datetime(2026, 11, 2, 12, 0, tzinfo=UTC),
    }
    return PaymentAdjusted(**fields | overrides)


def purchase_created(order_id: str, **overrides: object) -> PurchaseCreated:
    paid = payment_succeeded(order_id)
    fields: dict[str, Any] = {
        "event_id": order_event_id("PurchaseCreated", order_id),
        "purchase_id": purchase_id_of(order_id),
        "order_id": order_id,
        "student_id": paid.student_id,
        "course_id": paid.course_id,
        "purchase_tier": paid.purchase_tier,
        "purchase_date": paid.confirmed_at,
        "expiry_date": paid.confirmed_at + timedelta(days=180),
        "schedule": paid.schedule,
        "metadata": {},
    }
    return PurchaseCreated(**fields | overrides)
