"""PUT /api/v1/admin/trainers/{trainerId}: create or fully replace a trainer.

Tables: none by itself; the function upsert_trainer of sql/ writes trainers, trainer_offers, trainer_time_off.
"""

import orjson
from aiohttp import web

from services.common.validation import is_id
from services.gateway_api.bodies.admin import TrainerBody
from services.gateway_api.bodies.answers import TrainerAnswer
from services.gateway_api.callers import audit
from services.gateway_api.callers.idempotency import once
from services.gateway_api.dependencies import Dependencies
from services.gateway_api.web.problems import not_found
from services.gateway_api.web.reading import parse, read_json

_UPSERT = "SELECT upsert_trainer($1, $2::jsonb)"


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
                await audit.record(
                    transaction,
                    request,
                    action="trainer.put",
                    target=trainer_id,
                    reason=body.reason,
                    before=before,
                    after=await audit.trainer_state(transaction, trainer_id),
                )
                told = TrainerAnswer(trainer_id=trainer_id, active=body.active)
                return await claim.finish(transaction, told, status=200)

    return [web.put("/api/v1/admin/trainers/{trainerId}", put_trainer)]
