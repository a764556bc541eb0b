"""The decisions about trainers, each one call of a server-side function of sql/: nothing is decided in Python.

The same functions serve the assignment worker, so a person's decision checks all that the automatic one checks.
Tables: trainer_allocations, tutoring_sessions, student_course_purchases (read; the functions write).
"""

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson

from services.common.database import Row, Transaction
from services.common.events import Event, allocation_event
from services.gateway_api.bodies.answers import AllocationAnswer

_ASSIGN = "SELECT * FROM assign_trainer($1::uuid, $2)"
_APPROVE = "SELECT * FROM approve_allocation($1::uuid, $2, $3)"
_ALLOCATE = "SELECT * FROM allocate_trainer($1::uuid, $2, $3)"
_MOVE = "SELECT * FROM move_allocation($1::uuid, $2, $3)"
_PURCHASE_OF_ALLOCATION = "SELECT purchase_id FROM trainer_allocations WHERE id = $1::uuid"
_STANDING = "SELECT id, status, trainer_id, reason ->> 'filter' AS filter FROM standing_allocation($1::uuid)"
# The oldest without an approved allocation; when all have one, the oldest of all.
_PURCHASE = """
SELECT bought.id
  FROM student_course_purchases bought
  LEFT JOIN trainer_allocations allocation ON allocation.purchase_id = bought.id AND allocation.status = 'approved'
 WHERE bought.student_id = $1 AND bought.course_id = $2 AND bought.status = 'active'
 ORDER BY allocation.id IS NOT NULL, bought.purchase_date, bought.id
 LIMIT 1
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """`result`: what the call did, in the function's words. `reason`: the filter that a refusal or pending names;
    `revision` counts the decisions about this allocation.
    """

    result: str
    allocation_id: UUID
    purchase_id: UUID
    order_id: str
    student_id: str
    course_id: str
    status: str
    trainer_id: str | None
    reason: str | None
    session_count: int
    first_session_at: datetime | None
    revision: int
    decided_by: str | None
    conflicts: list[dict[str, Any]]

    @property
    def is_new(self) -> bool:
        return self.result in {"ok", "pending"}


async def purchase_of(transaction: Transaction, student_id: str, course_id: str) -> UUID | None:
    """The purchase that a decision for this student and course is about; None: there is none that is active."""
    found: UUID | None = await transaction.fetchval(_PURCHASE, student_id, course_id)
    return found


async def purchase_with(transaction: Transaction, allocation_id: UUID) -> UUID | None:
    """The purchase of an allocation; None: no such allocation."""
    found: UUID | None = await transaction.fetchval(_PURCHASE_OF_ALLOCATION, allocation_id)
    return found


async def standing(transaction: Transaction, purchase_id: UUID) -> AllocationAnswer | None:
    """The allocation that a purchase has, and its lock: the decision of this transaction is about it."""
    row = await transaction.fetchrow(_STANDING, purchase_id)
    if row is None or row["id"] is None:
        return None
    return AllocationAnswer(
        allocation_id=row["id"], status=row["status"], trainer_id=row["trainer_id"], reason=row["filter"]
    )


async def assign(transaction: Transaction, purchase_id: UUID, *, decided_by: str) -> Decision:
    return _decision_from(await transaction.fetchrow(_ASSIGN, purchase_id, decided_by))


async def approve(
    transaction: Transaction, allocation_id: UUID, *, trainer_id: str | None, decided_by: str
) -> Decision | None:
    """None: no such allocation."""
    row = await transaction.fetchrow(_APPROVE, allocation_id, trainer_id, decided_by)
    return _decision_from(row) if row is not None else None


async def allocate(transaction: Transaction, purchase_id: UUID, *, trainer_id: str, decided_by: str) -> Decision:
    return _decision_from(await transaction.fetchrow(_ALLOCATE, purchase_id, trainer_id, decided_by))


async def move(transaction: Transaction, allocation_id: UUID, *, trainer_id: str, decided_by: str) -> Decision:
    """To another trainer, with the sessions that have not begun."""
    return _decision_from(await transaction.fetchrow(_MOVE, allocation_id, trainer_id, decided_by))


def event_of(decision: Decision) -> Event:
    """TrainerAssigned for an approved allocation, AllocationPending for a pending one."""
    return allocation_event(asdict(decision) | {"filter": decision.reason})


def _decision_from(row: Row | None) -> Decision:
    assert row is not None
    return Decision(
        result=row["result"],
        allocation_id=row["allocation_id"],
        purchase_id=row["purchase_id"],
        order_id=row["order_id"],
        student_id=row["student_id"],
        course_id=row["course_id"],
        status=row["status"],
        trainer_id=row["trainer_id"],
        reason=row["filter"],
        session_count=row["session_count"],
        first_session_at=row["first_session_at"],
        revision=row["revision"],
        decided_by=row["decided_by"],
        conflicts=orjson.loads(row["conflicts"] or "[]"),
    )
