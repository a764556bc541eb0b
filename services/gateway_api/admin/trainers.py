"""PUT /api/v1/admin/trainers/{trainerId}: create or fully replace a trainer.

What is booked stays booked, and whoever changes a trainer is told what the new definition contradicts. The sessions of
one who is made inactive go to others, as with /deactivate.
Tables: none by itself; functions of sql/ write trainers, trainer_offers, trainer_time_off, trainer_departures.
"""

from typing import Any

import orjson
from aiohttp import web

from services.common.database import Transaction
from services.common.validation import is_id
from services.gateway_api.bodies.admin import TrainerBody
from services.gateway_api.bodies.trainers import BookedConflict, TrainerAnswer
from services.gateway_api.callers import audit
from services.gateway_api.callers.auth import caller_of
from services.gateway_api.callers.idempotency import once
from services.gateway_api.dependencies import Dependencies
from services.gateway_api.web.problems import not_found
from services.gateway_api.web.reading import parse, read_json

_CONFLICTS_MAX = 100
_UPSERT = "SELECT upsert_trainer($1, $2::jsonb)"
_CONFLICTS = "SELECT * FROM sessions_against($1, $2)"
_DEPART = "SELECT id FROM depart_if_booked($1, $2)"


def routes(dependencies: Dependencies) -> list[web.RouteDef]:
    async def put_trainer(request: web.Request) -> web.Response:
        trainer_id = request.match_info["trainerId"]
        if not is_id(trainer_id):
            raise not_found()
        payload = await read_json(request)
        body = parse(TrainerBody, payload)
        definition = body.model_dump(mode="json", by_alias=True, exclude={"reason"})
        async with once(dependencies.database, request, payload, required=False) as claim:
            if claim.stored is not None:
                return claim.stored
            async with dependencies.database.transaction() as transaction:
                before = await audit.trainer_state(transaction, trainer_id)
                await transaction.execute(_UPSERT, trainer_id, orjson.dumps(definition).decode())
                told = await _consequences(transaction, trainer_id, caller_of(request).subject, active=body.active)
                await audit.record(
                    transaction,
                    request,
                    action="trainer.put",
                    target=trainer_id,
                    reason=body.reason,
                    before=before,
                    after=(await audit.trainer_state(transaction, trainer_id) or {}) | _noted(told),
                )
                return await claim.finish(transaction, told, status=200)

    return [web.put("/api/v1/admin/trainers/{trainerId}", put_trainer)]


async def _consequences(transaction: Transaction, trainer_id: str, requested_by: str, *, active: bool) -> TrainerAnswer:
    if not active:
        departure_id = await transaction.fetchval(_DEPART, trainer_id, requested_by)
        return TrainerAnswer(trainer_id=trainer_id, active=False, departure_id=departure_id)
    rows = await transaction.fetch(_CONFLICTS, trainer_id, _CONFLICTS_MAX)
    return TrainerAnswer(
        trainer_id=trainer_id,
        active=True,
        conflicts=[BookedConflict(**{name: row[name] for name in BookedConflict.model_fields}) for row in rows],
        conflicts_total=rows[0]["found"] if rows else 0,
    )


def _noted(told: TrainerAnswer) -> dict[str, Any]:
    return told.model_dump(mode="json", exclude={"trainer_id", "active"})
