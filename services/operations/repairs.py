"""Counters are made what a recount says, by the owner of the tables, with a row in the audit log for each change.

Tables: load_drift, progress_drift (read), audit_log (added to); the functions recount_load and rebuild_progress write.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from services.common.database import Database
from services.operations.limits import REPAIR_S

_LOADS = "SELECT * FROM load_drift ORDER BY trainer_id"
_RECOUNT = "SELECT before, after FROM recount_load($1)"
_PROGRESS = "SELECT * FROM progress_drift ORDER BY purchase_id"
_REBUILD = "SELECT rebuild_progress()"
_AUDIT = """
INSERT INTO audit_log (actor, action, target, reason, before, after) VALUES ($1, $2, $3, $4, $5::jsonb, $6::jsonb)
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadDrift:
    """Weekly minutes: as counted in the trainer's row, the least and most of their offers (None: no offer), and as
    they must be.
    """

    trainer_id: str
    load_minutes: int
    offered_least: int | None
    offered_most: int | None
    expected_minutes: int


async def drifted_loads(database: Database) -> Sequence[LoadDrift]:
    """Raises RecordError kinds, like all here."""
    async with database.transaction(deadline_s=REPAIR_S) as transaction:
        return [LoadDrift(**dict(row)) for row in await transaction.fetch(_LOADS, timeout=REPAIR_S)]


async def repair_load(database: Database, drift: LoadDrift, *, actor: str, reason: str) -> int:
    """The load as it is now. A transaction for each trainer, so that no booking waits for more than one."""
    async with database.transaction(deadline_s=REPAIR_S) as transaction:
        counted = await transaction.fetchrow(_RECOUNT, drift.trainer_id, timeout=REPAIR_S)
        assert counted is not None
        before = {"loadMinutes": counted["before"], "offered": [drift.offered_least, drift.offered_most]}
        after = {"loadMinutes": counted["after"]}
        await transaction.execute(_AUDIT, actor, "load.recount", drift.trainer_id, reason, _json(before), _json(after))
    now: int = counted["after"]
    return now


async def drifted_progress(database: Database) -> Sequence[str]:
    """The purchases whose progress differs."""
    async with database.transaction(deadline_s=REPAIR_S) as transaction:
        return [str(row["purchase_id"]) for row in await transaction.fetch(_PROGRESS, timeout=REPAIR_S)]


async def repair_progress(database: Database, *, actor: str, reason: str) -> int:
    """How many rows were corrected."""
    async with database.transaction(deadline_s=REPAIR_S) as transaction:
        drifted = [dict(row) for row in await transaction.fetch(_PROGRESS, timeout=REPAIR_S)]
        corrected: int = await transaction.fetchval(_REBUILD, timeout=REPAIR_S)
        await transaction.execute(
            _AUDIT,
            actor,
            "progress.rebuild",
            "student_course_progress",
            reason,
            _json({"rows": drifted}),
            _json({"corrected": corrected}),
        )
    return corrected


def _json(value: dict[str, Any]) -> str:
    return orjson.dumps(value, default=str).decode()
