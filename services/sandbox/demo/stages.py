"""How far the payments have come, cheap enough to ask twice a second."""

from dataclasses import dataclass

from services.common.database import Database

_COUNTS = """
    SELECT (SELECT count(*) FROM payments WHERE confirmed_at IS NOT NULL) AS confirmed,
           (SELECT count(*) FROM student_course_purchases) AS bought,
           (SELECT count(*) FROM trainer_allocations WHERE status <> 'cancelled') AS decided,
           (SELECT count(*) FROM notifications WHERE status = 'sent') AS notified
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class StageCounts:
    confirmed: int = 0
    bought: int = 0
    decided: int = 0
    notified: int = 0


async def read_stage_counts(database: Database) -> StageCounts:
    """Raises RecordError kinds."""
    async with database.connection() as connection:
        (row,) = await connection.fetch(_COUNTS)
        return StageCounts(**row)
