"""Who did what, why, and what it changed: one row in the transaction of the change, so neither exists alone.

Table: audit_log (written only). The function trainer_definition of sql/ reads trainers, trainer_offers,
trainer_time_off.
"""

from collections.abc import Mapping
from typing import Any

import orjson
from aiohttp import web

from services.common.database import Transaction
from services.gateway_api.callers.auth import caller_of
from services.gateway_api.web.request_log import request_id_of

_INSERT = """
INSERT INTO audit_log (actor, action, target, reason, before, after, request_id)
VALUES ($1, $2, $3, $4, $5::jsonb, $6::jsonb, $7)
"""
_TRAINER = "SELECT trainer_definition($1)"
State = Mapping[str, object] | None


async def record(
    transaction: Transaction,
    request: web.Request,
    *,
    action: str,
    target: str,
    reason: str | None,
    before: State,
    after: State,
) -> None:
    """`action` is noun.verb, `target` an id."""
    await transaction.execute(
        _INSERT, caller_of(request).subject, action, target, reason, _json(before), _json(after), request_id_of(request)
    )


async def trainer_state(transaction: Transaction, trainer_id: str) -> dict[str, Any] | None:
    """A trainer as in the body of PUT trainers, and locked; None: there is none."""
    found = await transaction.fetchval(_TRAINER, trainer_id)
    state: dict[str, Any] | None = None if found is None else orjson.loads(found)
    return state


def _json(state: State) -> str | None:
    return None if state is None else orjson.dumps(state, default=str).decode()
