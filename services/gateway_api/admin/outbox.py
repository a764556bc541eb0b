"""Events that Kafka refused: which ones, why, what waits behind them, and try again once the cause is gone.

A refused row holds back its own order only. Nothing here changes or drops an event.
"""

from aiohttp import web

from services.gateway_api.bodies.admin import ReasonBody
from services.gateway_api.bodies.answers import BlockedEventAnswer, BlockedEventItem, BlockedEventPage
from services.gateway_api.callers import audit
from services.gateway_api.callers.idempotency import once
from services.gateway_api.dependencies import Dependencies
from services.gateway_api.publishing import outbox
from services.gateway_api.web.json_answers import answer
from services.gateway_api.web.pages import cut, wanted_page
from services.gateway_api.web.problems import not_found
from services.gateway_api.web.reading import invalid, parse, read_optional_json
from services.gateway_api.web.request_log import note

_DIGITS_MAX = 18


def routes(dependencies: Dependencies) -> list[web.RouteDef]:
    database = dependencies.database

    async def list_blocked(request: web.Request) -> web.Response:
        wanted = wanted_page(request)
        after_id = wanted.after_id or "0"
        if not _is_number(after_id):
            raise invalid(("cursor", "the nextCursor of a page before"))
        async with database.connection() as connection:
            rows = await outbox.list_blocked(
                connection, after_time=wanted.after_time, after_id=int(after_id), rows_max=wanted.limit + 1
            )
        items, cursor = cut(
            rows,
            wanted,
            key=lambda row: (row["created_at"], str(row["id"])),
            item=lambda row: BlockedEventItem(event_number=row["id"], **{k: v for k, v in row.items() if k != "id"}),
        )
        return answer(BlockedEventPage(items=items, next_cursor=cursor))

    async def publish(request: web.Request) -> web.Response:
        number = request.match_info["eventNumber"]
        payload = await read_optional_json(request)
        body = parse(ReasonBody, payload)
        if not _is_number(number):
            raise not_found()
        async with once(database, request, payload, required=False) as claim:
            if claim.stored is not None:
                return claim.stored
            async with database.transaction() as transaction:
                row = await outbox.publish_again(transaction, int(number))
                if row is None:
                    raise not_found()
                note(request, orderId=row["order_id"], eventType=row["type"])
                await audit.record(
                    transaction,
                    request,
                    action="outbox.publish",
                    target=number,
                    reason=body.reason,
                    before={"orderId": row["order_id"], "lastError": row["last_error"]},
                    after=None,
                )
                told = BlockedEventAnswer(event_number=int(number), order_id=row["order_id"], status="due")
                response = await claim.finish(transaction, told, status=200)
        dependencies.outbox_written.set()
        return response

    return [
        web.get("/api/v1/admin/outbox", list_blocked),
        web.post("/api/v1/admin/outbox/{eventNumber}/publish", publish),
    ]


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= _DIGITS_MAX
