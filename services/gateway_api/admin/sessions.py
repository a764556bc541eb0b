"""Complete or cancel a tutoring session; repeating it changes nothing. Trainers act on their own sessions only.

A cancellation may leave a purchase to another trainer, or waiting for one: that is told as any decision is.
Table: tutoring_sessions (read; the functions complete_session and cancel_session of sql/ write).
"""

from aiohttp import web

from services.common.database import Row, Transaction
from services.common.events import allocation_event
from services.common.outbox import add_event
from services.common.telemetry.traces import current_traceparent
from services.gateway_api.bodies.admin import ReasonBody
from services.gateway_api.bodies.answers import SessionAnswer
from services.gateway_api.callers import audit
from services.gateway_api.callers.auth import caller_of
from services.gateway_api.callers.idempotency import once
from services.gateway_api.callers.roles import Role
from services.gateway_api.dependencies import Dependencies
from services.gateway_api.web.problems import Problem, not_found
from services.gateway_api.web.reading import parse, read_optional_json, uuid_from
from services.gateway_api.web.request_log import note

_SESSION = "SELECT id, status, trainer_id, starts_at FROM tutoring_sessions WHERE id = $1"
_COMPLETE = "SELECT * FROM complete_session($1, $2)"
_CANCEL = "SELECT * FROM cancel_session($1, $2)"


def routes(dependencies: Dependencies) -> list[web.RouteDef]:
    async def complete(request: web.Request) -> web.Response:
        return await _run(dependencies, request, "session.complete", _COMPLETE)

    async def cancel(request: web.Request) -> web.Response:
        return await _run(dependencies, request, "session.cancel", _CANCEL)

    return [
        web.post("/api/v1/admin/sessions/{sessionId}/complete", complete),
        web.post("/api/v1/admin/sessions/{sessionId}/cancel", cancel),
    ]


async def _run(dependencies: Dependencies, request: web.Request, action: str, function: str) -> web.Response:
    payload = await read_optional_json(request)
    body = parse(ReasonBody, payload)
    async with once(dependencies.database, request, payload, required=False) as claim:
        if claim.stored is not None:
            return claim.stored
        async with dependencies.database.transaction() as transaction:
            before = await own_session(transaction, request)
            after = await transaction.fetchrow(function, before["id"], caller_of(request).subject)
            assert after is not None
            require_done(after)
            note(request, outcome=after["result"])
            if after["result"] != "duplicate":
                await audit.record(
                    transaction,
                    request,
                    action=action,
                    target=str(before["id"]),
                    reason=body.reason,
                    before={"status": before["status"]},
                    after={"status": after["status"]} | _decided(after),
                )
            if after.get("decision") is not None:
                event = allocation_event(after["decision"])
                await add_event(transaction, event, dependencies.codec, traceparent=current_traceparent())
            told = SessionAnswer(session_id=str(before["id"]), status=after["status"])
            response = await claim.finish(transaction, told, status=200)
    dependencies.outbox_written.set()
    return response


def _decided(after: Row) -> dict[str, object]:
    """What became of the purchase, when the sessions that it lacks are not its trainer's any more."""
    decision = after.get("decision")
    if decision is None:
        return {}
    return {
        "allocation": {
            "allocationId": decision["allocation_id"],
            "status": decision["status"],
            "trainerId": decision["trainer_id"],
            "reason": decision["filter"],
        }
    }


async def own_session(transaction: Transaction, request: web.Request) -> Row:
    """Raises Problem 404 for an unknown session, and for another trainer's."""
    session = await transaction.fetchrow(_SESSION, uuid_from(request.match_info["sessionId"]))
    caller = caller_of(request)
    if session is None or (Role.SUPPORT not in caller.roles and session["trainer_id"] != caller.subject):
        raise not_found()
    return session


def require_done(after: Row) -> None:
    if after["result"] in {"ok", "duplicate"}:
        return
    raise Problem(
        "session-conflict",
        409,
        "The session cannot be changed like this",
        reason=after["result"],
        sessionStatus=after["status"],
    )
