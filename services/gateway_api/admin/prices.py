"""PUT /api/v1/admin/courses/{courseId}/prices: what a course costs and whose public holidays it observes.

Tables: courses, course_prices (replaced here), holidays (by holiday_calendar.py).
"""

from aiohttp import web

from services.common.database import Row, Transaction
from services.common.validation import is_id
from services.gateway_api.admin.holiday_calendar import fill_holidays, holidays_of
from services.gateway_api.bodies.admin import PricesBody
from services.gateway_api.bodies.answers import PriceAnswer, PricesAnswer
from services.gateway_api.callers import audit
from services.gateway_api.callers.idempotency import once
from services.gateway_api.dependencies import Dependencies
from services.gateway_api.web.problems import not_found
from services.gateway_api.web.reading import parse, read_json

_LOCK = "SELECT pg_advisory_xact_lock(hashtextextended('course prices ' || $1, 0))"
_CALENDAR = "SELECT calendar FROM courses WHERE course_id = $1"
_PRICES = "SELECT purchase_tier, amount_minor, currency FROM course_prices WHERE course_id = $1 ORDER BY purchase_tier"
_COURSE = """
INSERT INTO courses (course_id, calendar) VALUES ($1, $2)
ON CONFLICT (course_id) DO UPDATE SET calendar = excluded.calendar
"""
_REMOVE = "DELETE FROM course_prices WHERE course_id = $1 AND purchase_tier <> ALL ($2::int[])"
_PRICE = """
INSERT INTO course_prices (course_id, purchase_tier, amount_minor, currency) VALUES ($1, $2, $3, $4)
ON CONFLICT (course_id, purchase_tier) DO UPDATE
   SET amount_minor = excluded.amount_minor, currency = excluded.currency
"""


def routes(dependencies: Dependencies) -> list[web.RouteDef]:
    async def put_prices(request: web.Request) -> web.Response:
        course_id = request.match_info["courseId"]
        if not is_id(course_id):
            raise not_found()
        payload = await read_json(request)
        body = parse(PricesBody, payload)
        days = await holidays_of(body.calendar)
        async with once(dependencies.database, request, payload, required=False) as claim:
            if claim.stored is not None:
                return claim.stored
            async with dependencies.database.transaction() as transaction:
                # Two writers would leave a mixture of both.
                await transaction.execute(_LOCK, course_id)
                before = await _state(transaction, course_id)
                await _replace(transaction, course_id, body)
                await fill_holidays(transaction, body.calendar, days)
                after = await _state(transaction, course_id)
                assert after is not None
                await audit.record(
                    transaction,
                    request,
                    action="course.set_prices",
                    target=course_id,
                    reason=body.reason,
                    before=before.model_dump(mode="json") if before is not None else None,
                    after=after.model_dump(mode="json"),
                )
                response = await claim.finish(transaction, after, status=200)
        return response

    return [web.put("/api/v1/admin/courses/{courseId}/prices", put_prices)]


async def _state(transaction: Transaction, course_id: str) -> PricesAnswer | None:
    calendar = await transaction.fetchval(_CALENDAR, course_id)
    if calendar is None:
        return None
    prices = [_price_from(row) for row in await transaction.fetch(_PRICES, course_id)]
    return PricesAnswer(course_id=course_id, calendar=calendar, prices=prices)


async def _replace(transaction: Transaction, course_id: str, body: PricesBody) -> None:
    await transaction.execute(_COURSE, course_id, body.calendar)
    await transaction.execute(_REMOVE, course_id, [price.purchase_tier for price in body.prices])
    rows = [(course_id, price.purchase_tier, price.amount_minor, price.currency) for price in body.prices]
    await transaction.executemany(_PRICE, rows)


def _price_from(row: Row) -> PriceAnswer:
    return PriceAnswer(purchase_tier=row["purchase_tier"], amount_minor=row["amount_minor"], currency=row["currency"])
