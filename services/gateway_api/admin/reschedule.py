"""Hold a tutoring session at another time; repeating it changes nothing. Trainers act on their own sessions only.

Tables: none by itself; the function reschedule_session of sql/ writes tutoring_sessions.
"""

from aiohttp import web

from services.gateway_api.admin.sessions import own_session, require_done
from services.gateway_api.bodies.admin import RescheduleBody, utc
from services.gateway_api.bodies.answers import RescheduledAnswer
from services.gateway_api.callers import audit
from services.gateway_api.callers.idempotency import once
from services.gateway_api.dependencies import Dependencies
from services.gateway_api.web.reading import parse, read_json
from services.gateway_api.web.request_log import note

_RESCHEDULE = "SELECT * FROM reschedule_session($1, $2)"


def routes(dependencies: Dependencies) -> list[web.RouteDef]:
    async def reschedule(request: web.Request) -> web.Response:
        payload = await read_json(request)
        body = parse(RescheduleBody, payload)
        async with once(dependencies.database, request, payload, required=False) as claim:
            if claim.stored is not None:
                return claim.stored
            async with dependencies.database.transaction() as transaction:
                before = await own_session(transaction, request)
                after = await transaction.fetchrow(_RESCHEDULE, before["id"], utc(body.starts_at))
                assert after is not None
                require_done(after)
                note(request, outcome=after["result"])
                told = RescheduledAnswer(
                    session_id=str(before["id"]),
                    status=after["status"],
                    starts_at=after["starts_at"],
                    ends_at=after["ends_at"],
                )
                if after["result"] != "duplicate":
                    await audit.record(
                        transaction,
                        request,
                        action="session.reschedule",
                        target=str(before["id"]),
                        reason=body.reason,
                        before={"startsAt": before["starts_at"].isoformat()},
                        after={"startsAt": after["starts_at"].isoformat()},
                    )
                return await claim.finish(transaction, told, status=200)

    return [web.post("/api/v1/admin/sessions/{sessionId}/reschedule", reschedule)]
