from datetime import UTC, datetime, timedelta
from typing import Any

from services.common.events import purchase_id_of
from services.gateway_api.callers.roles import STAFF, Role
from tests.support.gateway import STUDENT, Gateway, owner_connection, place_order

NOW = datetime.now(UTC)


async def _pay(database_url: str, order_id: str, confirmed_at: datetime = NOW, status: str = "succeeded") -> None:
    async with owner_connection(database_url) as connection:
        await connection.execute(
            "UPDATE payments SET status = $2, payment_id = 'pay_' || order_id, confirmed_at = $3 WHERE order_id = $1",
            order_id,
            status,
            confirmed_at,
        )


async def _provision(database_url: str, order_id: str, purchase_date: datetime) -> None:
    async with owner_connection(database_url) as connection:
        await connection.execute(
            """
            INSERT INTO student_course_purchases
                (id, order_id, student_id, course_id, purchase_tier, sessions_total, purchase_date, expiry_date, status)
            VALUES ($1, $2, $3, 'course-0001', 10, 10, $4, $5, 'active')
            """,
            purchase_id_of(order_id),
            order_id,
            STUDENT,
            purchase_date,
            purchase_date + timedelta(days=180),
        )


async def _get(gateway: Gateway, name: str, query: str = "") -> Any:  # noqa: ANN401 - JSON
    path = f"/api/v1/students/{STUDENT}/{name}{query}"
    status, told = await gateway.call("GET", path, headers=gateway.headers(Role.STUDENT))
    assert status == 200, told
    return told


async def test_a_paid_course_is_listed_at_once_and_keeps_its_place(gateway: Gateway, database_url: str) -> None:
    order = await place_order(gateway, key="key-1")
    assert await _get(gateway, "purchases") == {"items": [], "nextCursor": None}
    await _pay(database_url, order["orderId"])
    [waiting] = (await _get(gateway, "purchases"))["items"]
    assert (waiting["orderId"], waiting["status"]) == (order["orderId"], "being_set_up")
    assert (waiting["purchaseId"], waiting["expiryDate"]) == (None, None)
    await _provision(database_url, order["orderId"], NOW)
    [bought] = (await _get(gateway, "purchases"))["items"]
    assert (bought["status"], bought["purchaseId"]) == ("active", str(purchase_id_of(order["orderId"])))
    assert bought["purchaseDate"] == waiting["purchaseDate"]


async def test_a_refunded_payment_is_not_being_set_up(gateway: Gateway, database_url: str) -> None:
    order = await place_order(gateway, key="key-1")
    await _pay(database_url, order["orderId"], status="refunded")
    assert (await _get(gateway, "purchases"))["items"] == []


async def test_pages_show_everything_once_newest_first(gateway: Gateway, database_url: str) -> None:
    # Two have the same time: only the order id tells them apart.
    moments = [NOW, NOW, NOW - timedelta(hours=1), NOW - timedelta(hours=2), NOW - timedelta(hours=3)]
    for number, moment in enumerate(moments):
        order = await place_order(gateway, key=f"key-{number}")
        await _pay(database_url, order["orderId"], moment)
        if number % 2:
            await _provision(database_url, order["orderId"], moment)
    whole = (await _get(gateway, "purchases"))["items"]
    assert [item["purchaseDate"] for item in whole] == sorted((item["purchaseDate"] for item in whole), reverse=True)
    seen: list[Any] = []
    query = "?limit=2"
    for expected in (2, 2, 1):
        page = await _get(gateway, "purchases", query)
        assert len(page["items"]) == expected
        seen += page["items"]
        query = f"?limit=2&cursor={page['nextCursor']}"
    assert page["nextCursor"] is None
    assert seen == whole
    assert len(whole) == len(moments)


async def test_somebody_elses_cursor_shows_what_is_ones_own(gateway: Gateway, database_url: str) -> None:
    for number in range(3):
        order = await place_order(gateway, key=f"key-{number}")
        await _pay(database_url, order["orderId"], NOW - timedelta(hours=number))
    cursor = (await _get(gateway, "purchases", "?limit=1"))["nextCursor"]
    stranger = gateway.headers(Role.STUDENT, subject="student-2")
    for student_id, expected in (("student-2", (200, [])), (STUDENT, (404, None))):
        path = f"/api/v1/students/{student_id}/purchases?cursor={cursor}"
        status, told = await gateway.call("GET", path, headers=stranger)
        assert (status, told.get("items")) == expected


async def test_a_limit_or_cursor_that_is_none_is_422(gateway: Gateway) -> None:
    queries = (
        "limit=0",
        "limit=201",
        "limit=x",
        "limit=1e1",
        "limit=%D9%A1",
        "cursor=",
        "cursor=x",
        "cursor=W10",
        "cursor=bnVsbA",
    )
    for name in ("purchases", "sessions", "progress"):
        for query in queries:
            path = f"/api/v1/students/{STUDENT}/{name}?{query}"
            status, told = await gateway.call("GET", path, headers=gateway.headers(Role.STUDENT))
            assert (status, told["type"]) == (422, "/problems/invalid-request"), query


async def test_another_students_data_looks_like_nothing(gateway: Gateway) -> None:
    order = await place_order(gateway, key="key-1")
    paths = [f"/api/v1/students/{STUDENT}/{name}" for name in ("purchases", "sessions", "progress")]
    paths.append(f"/api/v1/payments/{order['orderId']}")
    stranger = gateway.headers(Role.STUDENT, subject="student-2")
    for path in paths:
        status, told = await gateway.call("GET", path, headers=stranger)
        assert (status, told["type"]) == (404, "/problems/not-found")
        assert (await gateway.call("GET", path, headers=gateway.headers(Role.STUDENT)))[0] == 200
        for role in STAFF:
            assert (await gateway.call("GET", path, headers=gateway.headers(role, subject="staff-1")))[0] == 200


async def test_a_payment_tells_how_far_it_is(gateway: Gateway, database_url: str) -> None:
    order = await place_order(gateway, key="key-1")
    path = f"/api/v1/payments/{order['orderId']}"
    _, told = await gateway.call("GET", path, headers=gateway.headers(Role.STUDENT))
    assert told == {
        "orderId": order["orderId"], "status": "created", "paymentId": None, "amountMinor": 500_000, "currency": "INR",
        "confirmedAt": None, "purchase": None, "allocation": None,
    }  # fmt: skip
    await _pay(database_url, order["orderId"])
    await _provision(database_url, order["orderId"], NOW)
    _, told = await gateway.call("GET", path, headers=gateway.headers(Role.STUDENT))
    assert (told["status"], told["paymentId"]) == ("succeeded", f"pay_{order['orderId']}")
    assert datetime.fromisoformat(told["confirmedAt"]) == NOW
    assert told["purchase"]["status"] == "active"
    assert told["allocation"] is None
