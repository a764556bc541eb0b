"""Events for tests, valid unless a field is overridden."""

from datetime import UTC, date, datetime
from typing import Any

from services.common.events import PaymentSucceeded, Schedule, order_event_id


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
