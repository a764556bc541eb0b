"""What PUT trainers answers: the trainer, and what the new definition means for the sessions that are booked."""

from datetime import datetime
from typing import Literal
from uuid import UUID

from pydantic import Field

from services.gateway_api.bodies.models import Answer


class BookedConflict(Answer):
    """A session to come that would not be booked any more: in the new time off, outside the new hours, or of a course
    or mode that is not taught any more. It stays booked until it is moved or cancelled.
    """

    session_id: UUID
    student_id: str
    course_id: str
    starts_at: datetime
    ends_at: datetime
    conflict: Literal["leave", "slot", "specialty"]


class TrainerAnswer(Answer):
    """Beside `trainerId` and `active` only what there is. `conflicts`: the earliest of `conflictsTotal`;
    `departureId`: the job that gives the sessions of an inactive trainer to others, as `/deactivate` begins it.
    """

    trainer_id: str
    active: bool
    conflicts: list[BookedConflict] = Field(default=[], exclude_if=lambda conflicts: not conflicts)
    conflicts_total: int = Field(default=0, exclude_if=lambda total: not total)
    departure_id: UUID | None = Field(default=None, exclude_if=lambda departure_id: departure_id is None)
