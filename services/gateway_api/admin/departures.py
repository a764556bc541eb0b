"""A trainer leaves: POST .../deactivate begins the job that gives their sessions to come to others.

GET .../departure is its progress and, at its end, its report.

Tables, all read only: trainer_departures, trainer_departure_items, student_course_purchases; the function
depart_trainer of sql/ writes.
"""

from datetime import datetime
from typing import Literal
from uuid import UUID

from aiohttp import web

from services.common.database import Row, Transaction
from services.common.validation import is_id
from services.gateway_api.bodies.admin import DeactivateBody
from services.gateway_api.bodies.models import Answer
from services.gateway_api.callers import audit
from services.gateway_api.callers.auth import caller_of
from services.gateway_api.callers.idempotency import once
from services.gateway_api.dependencies import Dependencies
from services.gateway_api.web.json_answers import answer
from services.gateway_api.web.problems import not_found
from services.gateway_api.web.reading import parse, read_optional_json

_DEPART = "SELECT * FROM depart_trainer($1, $2, $3)"
_NEWEST = "SELECT * FROM trainer_departures WHERE trainer_id = $1 ORDER BY created_at DESC LIMIT 1"
_ITEMS = """
SELECT item.result, item.error, item.trainer_id, bought.order_id, bought.student_id, bought.course_id
  FROM trainer_departure_items item JOIN student_course_purchases bought ON bought.id = item.purchase_id
 WHERE item.departure_id = $1
 ORDER BY item.done_at, bought.order_id
"""


class DepartureItem(Answer):
    """`trainerId`: who teaches it now. failed: not given to anybody yet, for `error`; it is tried again."""

    order_id: str
    student_id: str
    course_id: str
    result: Literal["reassigned", "pending", "ended", "failed"]
    trainer_id: str | None
    error: str | None


class DepartureAnswer(Answer):
    """`planned`: purchases with sessions to come when it began; `finishedAt` null: it goes on."""

    departure_id: UUID
    trainer_id: str
    plan: Literal["reassign", "pending"]
    planned: int
    reassigned: int
    pending: int
    ended: int
    failed: int
    created_at: datetime
    finished_at: datetime | None
    items: list[DepartureItem]


def routes(dependencies: Dependencies) -> list[web.RouteDef]:
    async def deactivate(request: web.Request) -> web.Response:
        trainer_id = _trainer_id(request)
        payload = await read_optional_json(request)
        body = parse(DeactivateBody, payload)
        async with once(dependencies.database, request, payload, required=False) as claim:
            if claim.stored is not None:
                return claim.stored
            async with dependencies.database.transaction() as transaction:
                before = await audit.trainer_state(transaction, trainer_id)
                job = await transaction.fetchrow(_DEPART, trainer_id, caller_of(request).subject, body.plan)
                if job is None or before is None:
                    raise not_found()
                await audit.record(
                    transaction,
                    request,
                    action="trainer.deactivate",
                    target=trainer_id,
                    reason=body.reason,
                    before={"active": before["active"]},
                    after={
                        "active": False,
                        "departureId": str(job["id"]),
                        "planned": job["planned"],
                        "plan": job["plan"],
                    },
                )
                return await claim.finish(transaction, await _told(transaction, job), status=202)

    async def report(request: web.Request) -> web.Response:
        async with dependencies.database.connection() as connection:
            job = await connection.fetchrow(_NEWEST, _trainer_id(request))
            if job is None:
                raise not_found()
            return answer(await _told(connection, job))

    return [
        web.post("/api/v1/admin/trainers/{trainerId}/deactivate", deactivate),
        web.get("/api/v1/admin/trainers/{trainerId}/departure", report),
    ]


def _trainer_id(request: web.Request) -> str:
    trainer_id = request.match_info["trainerId"]
    if not is_id(trainer_id):
        raise not_found()
    return trainer_id


async def _told(transaction: Transaction, job: Row) -> DepartureAnswer:
    items = [DepartureItem(**dict(row)) for row in await transaction.fetch(_ITEMS, job["id"])]
    results = [item.result for item in items]
    return DepartureAnswer(
        departure_id=job["id"],
        trainer_id=job["trainer_id"],
        plan=job["plan"],
        planned=job["planned"],
        reassigned=results.count("reassigned"),
        pending=results.count("pending"),
        ended=results.count("ended"),
        failed=results.count("failed"),
        created_at=job["created_at"],
        finished_at=job["finished_at"],
        items=items,
    )
