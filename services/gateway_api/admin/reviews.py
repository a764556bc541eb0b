"""The list of payments in review: which order, what it asked for, and what was taken.

Tables: payments, orders, payment_facts (read).
"""

from datetime import datetime

import orjson
from aiohttp import web

from services.common.database import Row
from services.gateway_api.bodies.answers import Page
from services.gateway_api.bodies.models import Answer
from services.gateway_api.dependencies import Dependencies
from services.gateway_api.providers.meanings import Meaning
from services.gateway_api.web.json_answers import answer
from services.gateway_api.web.pages import cut, wanted_page
from services.gateway_api.web.reading import invalid

_REVIEWS = """
SELECT payments.order_id, orders.student_id, orders.course_id, payments.provider, payments.payment_id,
       payments.amount_minor, payments.currency, payments.confirmed_at, payments.created_at,
       (SELECT jsonb_agg(jsonb_build_object('payment_id', taken.payment_id, 'amount_minor', taken.amount_minor,
                                            'currency', taken.currency) ORDER BY taken.payment_id)
          FROM (SELECT DISTINCT ON (fact.payment_id) fact.payment_id, fact.amount_minor, fact.currency
                  FROM payment_facts fact
                 WHERE fact.order_id = payments.order_id AND fact.status = ANY ($4::text[])
                   AND fact.payment_id IS NOT NULL
                 ORDER BY fact.payment_id, fact.amount_minor DESC NULLS LAST) AS taken) AS taken
  FROM payments JOIN orders ON orders.order_id = payments.order_id
 WHERE payments.status = 'review'
   AND ($1::timestamptz IS NULL OR (payments.created_at, payments.order_id) > ($1, $2))
 ORDER BY payments.created_at, payments.order_id
 LIMIT $3
"""
_SAYS_WHAT_WAS_TAKEN = [Meaning.CAPTURED, Meaning.SIGNED, Meaning.AUTHORIZED]


class TakenItem(Answer):
    """A payment of the order. `amountMinor`, `currency`: None while only a signature speaks for it."""

    payment_id: str
    amount_minor: int | None
    currency: str | None


class ReviewItem(Answer):
    """`paymentId`: the one that pays the order, since `confirmedAt`; None when the review came first. `amountMinor`,
    `currency`: what the order asked for.
    """

    order_id: str
    student_id: str
    course_id: str
    provider: str
    payment_id: str | None
    amount_minor: int
    currency: str
    confirmed_at: datetime | None
    created_at: datetime
    taken: list[TakenItem]


class ReviewPage(Page[ReviewItem]):
    pass


def routes(dependencies: Dependencies) -> list[web.RouteDef]:
    database = dependencies.database

    async def list_reviews(request: web.Request) -> web.Response:
        if request.query.get("status") != "review":
            raise invalid(("status", "review is the only list"))
        wanted = wanted_page(request)
        async with database.connection() as connection:
            rows = await connection.fetch(
                _REVIEWS, wanted.after_time, wanted.after_id, wanted.limit + 1, _SAYS_WHAT_WAS_TAKEN
            )
        items, cursor = cut(rows, wanted, key=lambda row: (row["created_at"], row["order_id"]), item=_item_from)
        return answer(ReviewPage(items=items, next_cursor=cursor))

    return [web.get("/api/v1/admin/payments", list_reviews)]


def _item_from(row: Row) -> ReviewItem:
    taken = [TakenItem(**one) for one in orjson.loads(row["taken"] or "[]")]
    return ReviewItem(**{**dict(row), "taken": taken})
