"""What a student reads on the phone. Pure.

Why no trainer was found is for staff, so it is not in the message.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import assert_never

from services.common.events import AllocationPending, PurchaseAdjusted, PurchaseCreated, TrainerAssigned

Announced = PurchaseCreated | TrainerAssigned | AllocationPending | PurchaseAdjusted


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """`data` is for the app: what the message is about."""

    student_id: str
    title: str
    body: str
    data: Mapping[str, str]


def message_of(event: Announced, course_name: str) -> Message:
    title, body = _text_of(event, course_name)
    about = {"type": type(event).__name__, "orderId": event.order_id, "courseId": event.course_id}
    data = {**about, "purchaseId": str(event.purchase_id), **_extra_data_of(event)}
    return Message(student_id=event.student_id, title=title, body=body, data=data)


def _text_of(event: Announced, course: str) -> tuple[str, str]:
    match event:
        case PurchaseCreated():
            return "Your course is booked", f"You have {_sessions(event.purchase_tier)} of {course}."
        case TrainerAssigned():
            return "Your trainer is ready", f"Your calendar has {_sessions(event.session_count)} of {course}."
        case AllocationPending():
            return "We are finding your trainer", f"We tell you as soon as somebody for {course} is found."
        case PurchaseAdjusted():
            return _change_of(event, course)
        case _:
            assert_never(event)


def _change_of(event: PurchaseAdjusted, course: str) -> tuple[str, str]:
    match event.status:
        case "frozen":
            return "Your course is on hold", f"Sessions of {course} wait until your payment is settled."
        case "revoked":
            return "Your course has ended", f"Your payment for {course} was returned."
        case "expired":
            return "Your course has expired", f"The time for {course} is over."
        case _:
            return "Your course has changed", f"You now have {_sessions(event.sessions_total)} of {course}."


def _sessions(count: int) -> str:
    return "1 session" if count == 1 else f"{count} sessions"


def _extra_data_of(event: Announced) -> Mapping[str, str]:
    if isinstance(event, TrainerAssigned):
        return {"trainerId": event.trainer_id, "firstSessionAt": event.first_session_at.isoformat()}
    if isinstance(event, PurchaseAdjusted):
        return {"status": event.status, "sessionsTotal": str(event.sessions_total)}
    return {}
