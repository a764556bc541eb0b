"""What a student sees: purchases (a paid one at once), sessions, progress, and how far a payment is.

Tables, all read only: orders, payments, student_course_purchases, tutoring_sessions, student_course_progress.
"""

from aiohttp import web

from services.common.database import Row
from services.common.validation import is_id
from services.gateway_api.bodies.answers import (
    ProgressItem,
    ProgressPage,
    PurchaseItem,
    PurchasePage,
    SessionItem,
    SessionPage,
)
from services.gateway_api.callers.auth import require_owner
from services.gateway_api.dependencies import Dependencies
from services.gateway_api.web.json_answers import answer
from services.gateway_api.web.pages import Wanted, cut, wanted_page
from services.gateway_api.web.problems import not_found

# A paid order without a purchase yet is listed with the date that its purchase will have, so that it keeps its place
# in the pages when the purchase appears.
_PURCHASES = """
SELECT * FROM (
    SELECT id, order_id, course_id, purchase_tier, status, purchase_date, expiry_date
      FROM student_course_purchases
     WHERE student_id = $1
    UNION ALL
    SELECT NULL, orders.order_id, orders.course_id, orders.purchase_tier, 'being_set_up', payments.confirmed_at, NULL
      FROM orders JOIN payments USING (order_id)
     WHERE orders.student_id = $1
       AND payments.confirmed_at IS NOT NULL
       AND payments.status NOT IN ('refunded', 'charged_back')
       AND NOT EXISTS (SELECT FROM student_course_purchases bought WHERE bought.order_id = orders.order_id)
) listed
 WHERE $2::timestamptz IS NULL OR (purchase_date, order_id) < ($2, $3)
 ORDER BY purchase_date DESC, order_id DESC
 LIMIT $4
"""
_SESSIONS = """
SELECT id::text AS id, allocation_id, trainer_id, course_id, starts_at, ends_at, status
  FROM tutoring_sessions
 WHERE student_id = $1 AND ($2::timestamptz IS NULL OR (starts_at, id::text) > ($2, $3))
 ORDER BY starts_at, id::text
 LIMIT $4
"""
_PROGRESS = """
SELECT progress.course_id, progress.purchase_id, progress.sessions_total, progress.sessions_completed,
       progress.last_completed_at, bought.purchase_date
  FROM student_course_progress progress
  JOIN student_course_purchases bought ON bought.id = progress.purchase_id
 WHERE progress.student_id = $1
   AND ($2::timestamptz IS NULL OR (bought.purchase_date, progress.purchase_id::text) < ($2, $3))
 ORDER BY bought.purchase_date DESC, progress.purchase_id::text DESC
 LIMIT $4
"""


def routes(dependencies: Dependencies) -> list[web.RouteDef]:
    async def fetch(query: str, request: web.Request) -> tuple[list[Row], Wanted]:
        student_id = request.match_info["studentId"]
        if not is_id(student_id):
            raise not_found()
        require_owner(request, student_id)
        wanted = wanted_page(request)
        async with dependencies.database.connection() as connection:
            rows = await connection.fetch(query, student_id, wanted.after_time, wanted.after_id, wanted.limit + 1)
        return rows, wanted

    async def purchases(request: web.Request) -> web.Response:
        rows, wanted = await fetch(_PURCHASES, request)
        items, cursor = cut(
            rows, wanted, key=lambda row: (row["purchase_date"], row["order_id"]), item=purchase_item_from
        )
        return answer(PurchasePage(items=items, next_cursor=cursor))

    async def sessions(request: web.Request) -> web.Response:
        rows, wanted = await fetch(_SESSIONS, request)
        items, cursor = cut(rows, wanted, key=lambda row: (row["starts_at"], row["id"]), item=_session_item_from)
        return answer(SessionPage(items=items, next_cursor=cursor))

    async def progress(request: web.Request) -> web.Response:
        rows, wanted = await fetch(_PROGRESS, request)
        items, cursor = cut(
            rows, wanted, key=lambda row: (row["purchase_date"], str(row["purchase_id"])), item=_progress_item_from
        )
        return answer(ProgressPage(items=items, next_cursor=cursor))

    return [
        web.get("/api/v1/students/{studentId}/purchases", purchases),
        web.get("/api/v1/students/{studentId}/sessions", sessions),
        web.get("/api/v1/students/{studentId}/progress", progress),
    ]


def purchase_item_from(row: Row) -> PurchaseItem:
    return PurchaseItem(
        purchase_id=row["id"],
        order_id=row["order_id"],
        course_id=row["course_id"],
        purchase_tier=row["purchase_tier"],
        status=row["status"],
        purchase_date=row["purchase_date"],
        expiry_date=row["expiry_date"],
    )


def _session_item_from(row: Row) -> SessionItem:
    return SessionItem(
        session_id=row["id"],
        allocation_id=row["allocation_id"],
        trainer_id=row["trainer_id"],
        course_id=row["course_id"],
        starts_at=row["starts_at"],
        ends_at=row["ends_at"],
        status=row["status"],
    )


def _progress_item_from(row: Row) -> ProgressItem:
    return ProgressItem(
        course_id=row["course_id"],
        purchase_id=row["purchase_id"],
        sessions_total=row["sessions_total"],
        sessions_completed=row["sessions_completed"],
        last_completed_at=row["last_completed_at"],
    )
