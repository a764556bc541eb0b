"""A row of trainer_allocations as the API tells it."""

from collections.abc import Mapping
from typing import Any

import orjson

from services.common.database import Row
from services.gateway_api.bodies.answers import AllocationItem, NearMiss, PendingItem, Repair

# Of `trainer_allocations allocation JOIN student_course_purchases bought`.
ALLOCATION_COLUMNS = """allocation.id, allocation.purchase_id, bought.order_id, allocation.student_id,
       allocation.course_id, allocation.status, allocation.trainer_id, allocation.reason, allocation.created_at"""


def allocation_item_from(row: Row) -> AllocationItem:
    why = reason_from(row["reason"])
    return AllocationItem(
        allocation_id=row["id"],
        purchase_id=row["purchase_id"],
        order_id=row["order_id"],
        student_id=row["student_id"],
        course_id=row["course_id"],
        status=row["status"],
        trainer_id=row["trainer_id"],
        reason=why.get("filter"),
        relaxation=why.get("relaxation"),
        created_at=row["created_at"],
    )


def pending_item_from(row: Row) -> PendingItem:
    """With what staff are told beside the reason; a student is not told about other people."""
    why = reason_from(row["reason"])
    return PendingItem(
        **allocation_item_from(row).model_dump(),
        cut_short=bool(why.get("cutShort")),
        near_misses=[NearMiss.model_validate(one) for one in why.get("nearMisses", ())],
        repairs=[Repair.model_validate(one) for one in why.get("repairs", ())],
    )


def reason_from(column: str | None) -> Mapping[str, Any]:
    """The jsonb `reason` of an allocation: `filter` and `relaxation` among others."""
    if column is None:
        return {}
    value = orjson.loads(column)
    return value if isinstance(value, dict) else {"filter": str(value)}
