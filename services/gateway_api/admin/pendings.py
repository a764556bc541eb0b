"""The list of purchases that wait for a person to find a trainer: why, who nearly fits, which swap would help.

A frozen purchase waits for its dispute, not for a person: it is on the list again when it is active again.

Tables: trainer_allocations, student_course_purchases (read).
"""

from aiohttp import web

from services.gateway_api.bodies.allocation_items import ALLOCATION_COLUMNS, pending_item_from
from services.gateway_api.bodies.answers import AllocationPage
from services.gateway_api.dependencies import Dependencies
from services.gateway_api.web.json_answers import answer
from services.gateway_api.web.pages import cut, wanted_page
from services.gateway_api.web.reading import invalid

_PENDING = f"""
SELECT {ALLOCATION_COLUMNS}
  FROM trainer_allocations allocation JOIN student_course_purchases bought ON bought.id = allocation.purchase_id
 WHERE allocation.status = 'pending' AND bought.status = 'active'
   AND ($1::timestamptz IS NULL OR (allocation.created_at, allocation.id::text) > ($1, $2))
 ORDER BY allocation.created_at, allocation.id::text
 LIMIT $3
"""  # noqa: S608 - our own column list


def routes(dependencies: Dependencies) -> list[web.RouteDef]:
    database = dependencies.database

    async def list_pending(request: web.Request) -> web.Response:
        if request.query.get("status") != "pending":
            raise invalid(("status", "pending is the only list"))
        wanted = wanted_page(request)
        async with database.connection() as connection:
            rows = await connection.fetch(_PENDING, wanted.after_time, wanted.after_id, wanted.limit + 1)
        items, cursor = cut(rows, wanted, key=lambda row: (row["created_at"], str(row["id"])), item=pending_item_from)
        return answer(AllocationPage(items=items, next_cursor=cursor))

    return [web.get("/api/v1/admin/allocations", list_pending)]
