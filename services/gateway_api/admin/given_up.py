"""The list of refunds that were given up, or came back: of which payment, why, and how much is left to go back.

Each ends with another refund or with a settlement. Tables: refunds_given_up, payments, orders (read).
"""

from datetime import datetime

from aiohttp import web

from services.common.database import Row, Transaction
from services.gateway_api.bodies.answers import Page
from services.gateway_api.bodies.models import Answer
from services.gateway_api.dependencies import Dependencies
from services.gateway_api.payments.reads import read_facts
from services.gateway_api.payments.state import Price, left_of
from services.gateway_api.web.json_answers import answer
from services.gateway_api.web.pages import cut, wanted_page
from services.gateway_api.web.reading import invalid

# Of a payment that was tried again and given up again, the first and the last of it.
_GIVEN_UP = """
SELECT refund.*, payments.provider, payments.amount_minor, payments.currency, orders.student_id, orders.course_id
  FROM (SELECT order_id, payment_id, min(since) AS since, (array_agg(reason ORDER BY since DESC))[1] AS reason
          FROM refunds_given_up GROUP BY order_id, payment_id) AS refund
  JOIN payments ON payments.order_id = refund.order_id
  JOIN orders ON orders.order_id = refund.order_id
 WHERE $1::timestamptz IS NULL OR (refund.since, refund.payment_id) > ($1, $2)
 ORDER BY refund.since, refund.payment_id
 LIMIT $3
"""


class GivenUpItem(Answer):
    """`leftMinor`: what of the payment has not gone back, in the payment's own `currency`."""

    order_id: str
    student_id: str
    course_id: str
    provider: str
    payment_id: str
    left_minor: int
    currency: str
    reason: str
    since: datetime


class GivenUpPage(Page[GivenUpItem]):
    pass


def routes(dependencies: Dependencies) -> list[web.RouteDef]:
    database = dependencies.database

    async def list_given_up(request: web.Request) -> web.Response:
        if request.query.get("status") != "given_up":
            raise invalid(("status", "given_up is the only list"))
        wanted = wanted_page(request)
        async with database.connection() as connection:
            rows = await connection.fetch(_GIVEN_UP, wanted.after_time, wanted.after_id, wanted.limit + 1)
            shown, cursor = cut(rows, wanted, key=lambda row: (row["since"], row["payment_id"]), item=lambda row: row)
            items = [await _item_from(connection, row) for row in shown]
        return answer(GivenUpPage(items=items, next_cursor=cursor))

    return [web.get("/api/v1/admin/refunds", list_given_up)]


async def _item_from(connection: Transaction, row: Row) -> GivenUpItem:
    price = Price(amount_minor=row["amount_minor"], currency=row["currency"])
    left = left_of(price, await read_facts(connection, row["order_id"]), row["payment_id"])
    return GivenUpItem(
        order_id=row["order_id"],
        student_id=row["student_id"],
        course_id=row["course_id"],
        provider=row["provider"],
        payment_id=row["payment_id"],
        left_minor=left.amount_minor,
        currency=left.currency,
        reason=row["reason"],
        since=row["since"],
    )
