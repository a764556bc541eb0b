"""Deciding that dead letters need no replay: a status and a line in the audit log each. Nothing is deleted.

Tables: audit_log (written only); standing.py writes dead_letters.
"""

from collections.abc import Sequence
from functools import partial

from services.common.database import Database
from services.operations.replay.choosing.letters import Place
from services.operations.replay.choosing.plan import Plan
from services.operations.replay.choosing.standing import settle_letters
from services.operations.replay.steady import steadily

_CHUNK_LETTERS = 1_000
_AUDIT = """
INSERT INTO audit_log (actor, action, target, reason, before, after)
SELECT $1, 'dead_letter.discarded', target, $2, NULL, '{"status": "discarded"}'::jsonb FROM unnest($3::text[]) AS target
"""


async def discard(database: Database, plan: Plan, *, actor: str, reason: str) -> int:
    """How many changed: what is done, or was discarded before, stays as it is. Raises RecordError kinds; what was
    decided before stays.
    """
    places = [(item.partition, item.offset) for item in plan.items if not item.done]
    changed = 0
    for start in range(0, len(places), _CHUNK_LETTERS):
        chunk = places[start : start + _CHUNK_LETTERS]
        changed += await steadily(partial(_discard, database, plan.topic, chunk, actor=actor, reason=reason))
    return changed


async def _discard(database: Database, topic: str, places: Sequence[Place], *, actor: str, reason: str) -> int:
    async with database.transaction() as transaction:
        changed = await settle_letters(transaction, topic, places, "discarded")
        targets = [f"{topic}/{partition}:{offset}" for partition, offset in places]
        await transaction.execute(_AUDIT, actor, reason, targets)
    return changed
