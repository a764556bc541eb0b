from datetime import date
from typing import Any

import orjson

from services.gateway_api.callers.roles import Role
from tests.support.gateway import Gateway, owner_connection, place_order

PATH = "/api/v1/admin/courses/course-0002/prices"


def _prices(*amounts: tuple[int, int], **overrides: object) -> dict[str, Any]:
    prices = [{"purchaseTier": tier, "amountMinor": amount, "currency": "INR"} for tier, amount in amounts]
    return {"prices": prices, "calendar": "IN"} | overrides


async def _put(gateway: Gateway, body: object) -> tuple[int, Any]:
    return await gateway.call("PUT", PATH, json=body, headers=gateway.headers(Role.OPS, subject="ops-1"))


async def test_a_new_course_can_be_bought_at_once(gateway: Gateway) -> None:
    status, told = await _put(gateway, _prices((10, 70_000), (20, 130_000)))
    assert (status, told["courseId"], told["calendar"], len(told["prices"])) == (200, "course-0002", "IN", 2)
    order = await place_order(gateway, key="key-1", courseId="course-0002", purchaseTier=20)
    assert order["amountMinor"] == 130_000


async def test_prices_are_replaced_as_a_whole_and_old_orders_keep_theirs(gateway: Gateway, database_url: str) -> None:
    await _put(gateway, _prices((10, 70_000), (20, 130_000)))
    old = await place_order(gateway, key="key-1", courseId="course-0002")
    status, told = await _put(gateway, _prices((10, 80_000), reason="a new year"))
    assert (status, told["prices"]) == (200, [{"purchaseTier": 10, "amountMinor": 80_000, "currency": "INR"}])
    async with owner_connection(database_url) as connection:
        kept = await connection.fetchval("SELECT amount_minor FROM payments WHERE order_id = $1", old["orderId"])
        row = await connection.fetchrow("SELECT * FROM audit_log ORDER BY at DESC LIMIT 1")
    assert kept == 70_000
    assert row is not None
    assert (row["actor"], row["action"], row["target"], row["reason"]) == (
        "ops-1", "course.set_prices", "course-0002", "a new year",
    )  # fmt: skip
    assert [len(orjson.loads(row[when])["prices"]) for when in ("before", "after")] == [2, 1]


async def test_the_calendar_brings_its_holidays(gateway: Gateway, database_url: str) -> None:
    await _put(gateway, _prices((10, 70_000), calendar="IN-KA"))
    async with owner_connection(database_url) as connection:
        days = [row["day"] for row in await connection.fetch("SELECT day FROM holidays WHERE calendar = 'IN-KA'")]
    this_year = min(days).year
    assert {date(this_year + ahead, 1, 26) for ahead in range(3)} <= set(days)


async def test_nonsense_is_422_and_changes_nothing(gateway: Gateway, database_url: str) -> None:
    for body in (
        _prices(),
        _prices((10, 0)),
        _prices((15, 100)),
        _prices((10, 100), (10, 200)),
        _prices((10, 100), calendar="ZZ"),
        _prices((10, 100), calendar="IN-ZZ"),
        _prices((10, 100), calendar="india"),
        _prices((10, 100), reason=""),
        _prices((10, 100), discount=5),
        {"prices": [{"purchaseTier": 10, "amountMinor": 100, "currency": "inr"}], "calendar": "IN"},
    ):
        assert (await _put(gateway, body))[0] == 422, body
    async with owner_connection(database_url) as connection:
        assert await connection.fetchval("SELECT count(*) FROM courses WHERE course_id = 'course-0002'") == 0


async def test_a_course_id_that_is_none_is_404(gateway: Gateway) -> None:
    path = PATH.replace("course-0002", "course%200002")
    body = _prices((10, 70_000))
    assert (await gateway.call("PUT", path, json=body, headers=gateway.headers(Role.OPS)))[0] == 404
