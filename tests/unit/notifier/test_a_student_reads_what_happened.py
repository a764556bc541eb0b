"""The texts of messages, and what the app is told."""

from datetime import UTC, datetime
from uuid import uuid4

import pytest

from services.common.events import AllocationPending, PurchaseAdjusted, TrainerAssigned
from services.notifier.messages import message_of
from tests.support.events import purchase_created

ABOUT = {
    "event_id": uuid4(),
    "purchase_id": uuid4(),
    "order_id": "ord_1",
    "student_id": "student-1",
    "course_id": "course-0001",
}


def test_a_purchase_names_the_course_and_its_sessions() -> None:
    message = message_of(purchase_created("ord_1", purchase_tier=20), "Algebra 1")
    assert message.student_id == "student-1"
    assert message.body == "You have 20 sessions of Algebra 1."
    assert message.data["type"] == "PurchaseCreated"
    assert message.data["orderId"] == "ord_1"


def test_an_assignment_tells_the_app_who_and_when() -> None:
    first = datetime(2027, 1, 4, 12, 30, tzinfo=UTC)
    event = TrainerAssigned(
        **ABOUT,  # type: ignore[arg-type]
        allocation_id=uuid4(),
        trainer_id="trainer-1",
        session_count=1,
        first_session_at=first,
    )
    message = message_of(event, "Algebra 1")
    assert message.body == "Your calendar has 1 session of Algebra 1."
    assert message.data["trainerId"] == "trainer-1"
    assert message.data["firstSessionAt"] == first.isoformat()


def test_why_nobody_was_found_is_not_for_the_student() -> None:
    event = AllocationPending(**ABOUT, allocation_id=uuid4(), reason="gender")  # type: ignore[arg-type]
    message = message_of(event, "Algebra 1")
    assert "gender" not in f"{message.title} {message.body} {message.data}"


@pytest.mark.parametrize(
    ("status", "title"),
    [
        ("active", "Your course has changed"),
        ("frozen", "Your course is on hold"),
        ("revoked", "Your course has ended"),
        ("expired", "Your course has expired"),
    ],
)
def test_a_change_says_what_it_means(status: str, title: str) -> None:
    event = PurchaseAdjusted(**ABOUT, status=status, sessions_total=5, sequence=1)  # type: ignore[arg-type]
    message = message_of(event, "Algebra 1")
    assert message.title == title
    assert message.data["status"] == status
