"""Why a purchase has the trainer it has, or nobody: its decisions with their reasons, the newest first.

Tables, all read only: student_course_purchases, trainer_allocations, tutoring_sessions.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson

from services.common.database import Database, Row

_PURCHASE = """
SELECT id, order_id, student_id, course_id, purchase_tier, sessions_total, status, purchase_date, expiry_date,
       metadata -> 'schedule' AS schedule
  FROM student_course_purchases WHERE order_id = $1
"""
_DECISIONS = """
SELECT allocation.id, allocation.status, allocation.trainer_id, allocation.decided_by, allocation.decided_at,
       allocation.tried_at, allocation.revision, allocation.reason, planned.*
  FROM trainer_allocations allocation,
       LATERAL (SELECT count(*) FILTER (WHERE status = 'scheduled') AS scheduled,
                       count(*) FILTER (WHERE status = 'completed') AS completed,
                       min(starts_at) FILTER (WHERE status <> 'cancelled') AS first_session_at
                  FROM tutoring_sessions WHERE allocation_id = allocation.id) AS planned
 WHERE allocation.purchase_id = $1
 ORDER BY allocation.created_at DESC, allocation.id
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """One decision. `reason` as stored: filter, funnel, top, chosen, relaxation, cutShort, nearMisses, repairs."""

    allocation_id: str
    status: str
    trainer_id: str | None
    decided_by: str
    decided_at: datetime
    tried_at: datetime
    revision: int
    scheduled: int
    completed: int
    first_session_at: datetime | None
    reason: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    order_id: str
    purchase_id: str
    student_id: str
    course_id: str
    purchase_tier: int
    sessions_total: int
    status: str
    purchase_date: datetime
    expiry_date: datetime | None
    schedule: Mapping[str, Any]
    decisions: Sequence[Told]


async def story_of(database: Database, order_id: str) -> Story | None:
    """None: there is no purchase of this order. Raises RecordError kinds."""
    async with database.connection() as connection:
        bought = await connection.fetchrow(_PURCHASE, order_id)
        if bought is None:
            return None
        rows = await connection.fetch(_DECISIONS, bought["id"])
    known = dict(bought)
    return Story(
        purchase_id=str(known.pop("id")),
        schedule=orjson.loads(known.pop("schedule") or "{}"),
        decisions=[_told(row) for row in rows],
        **known,
    )


def _told(row: Row) -> Told:
    known = dict(row)
    return Told(allocation_id=str(known.pop("id")), reason=orjson.loads(known.pop("reason")), **known)
