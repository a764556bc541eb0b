import asyncio
from collections.abc import Mapping
from typing import Any

from services.gateway_api.callers.roles import Role
from tests.support.gateway import SCHEDULE, STUDENT, Gateway, order_body, owner_connection, place_order


async def _post(
    gateway: Gateway, key: str | None = "key-1", body: Mapping[str, object] | None = None
) -> tuple[int, Any, str | None]:
    headers = gateway.headers(Role.STUDENT)
    if key is not None:
        headers["Idempotency-Key"] = key
    async with gateway.http.post(
        f"{gateway.url}/api/v1/orders", json=order_body(**body or {}), headers=headers
    ) as answer:
        return answer.status, await answer.json(content_type=None), answer.headers.get("Location")


async def test_the_price_comes_from_the_table_and_everything_is_one_commit(gateway: Gateway, database_url: str) -> None:
    told = await place_order(gateway, key="key-1", purchaseTier=20)
    assert told.keys() == {
        "orderId", "provider", "providerOrderId", "amountMinor", "currency", "publicKey", "status", "createdAt",
    }  # fmt: skip
    assert (told["amountMinor"], told["currency"], told["status"]) == (1_000_000, "INR", "created")
    assert told["publicKey"] == gateway.accounts.razorpay.key_id
    assert len(told["orderId"]) <= 40
    async with owner_connection(database_url) as connection:
        order = await connection.fetchrow("SELECT * FROM orders JOIN payments USING (order_id)")
        tasks = await connection.fetch("SELECT order_id, kind FROM payment_tasks")
    assert order is not None
    assert (order["order_id"], order["student_id"], order["status"]) == (told["orderId"], STUDENT, "created")
    assert [(task["order_id"], task["kind"]) for task in tasks] == [(told["orderId"], "reconcile")]


async def test_an_order_tells_where_to_look_for_its_payment(gateway: Gateway) -> None:
    _, _, location = await _post(gateway)
    assert location is not None
    assert (await gateway.call("GET", location, headers=gateway.headers(Role.STUDENT)))[1]["status"] == "created"


async def test_a_price_in_the_body_is_refused(gateway: Gateway) -> None:
    status, told, _ = await _post(gateway, body={"amountMinor": 1})
    assert (status, told["errors"][0]["field"]) == (422, "amountMinor")


async def test_a_finished_twin_gets_the_stored_bytes_quoted_or_not(gateway: Gateway, database_url: str) -> None:
    first = await _post(gateway, "key-1")
    assert first[0] == 201
    assert await _post(gateway, '"key-1"') == first
    async with owner_connection(database_url) as connection:
        assert await connection.fetchval("SELECT count(*) FROM orders") == 1


async def test_twenty_twins_at_once_make_one_order(gateway: Gateway, database_url: str) -> None:
    answers = await asyncio.gather(*(_post(gateway, "key-1") for _ in range(20)))
    assert {status for status, _, _ in answers} <= {201, 409}
    assert len({str(told) for status, told, _ in answers if status == 201}) == 1
    async with owner_connection(database_url) as connection:
        assert await connection.fetchval("SELECT count(*) FROM orders") == 1
        assert await connection.fetchval("SELECT count(*) FROM payments") == 1


async def test_a_running_twin_is_409_and_one_whose_process_died_is_taken_over(
    gateway: Gateway, database_url: str
) -> None:
    first = await _post(gateway, "key-1")
    async with owner_connection(database_url) as connection:
        await connection.execute("UPDATE idempotency_keys SET status = NULL, body = NULL, location = NULL")
        status, told, _ = await _post(gateway, "key-1")
        assert (status, told["type"]) == (409, "/problems/idempotency-key-running")
        await connection.execute("UPDATE idempotency_keys SET claimed_until = now() - interval '1 s'")
    again = await _post(gateway, "key-1")
    assert again[0] == 201
    assert again[1] != first[1]


async def test_a_key_with_another_payload_is_422_until_a_day_has_passed(gateway: Gateway, database_url: str) -> None:
    await _post(gateway, "key-1")
    status, told, _ = await _post(gateway, "key-1", {"purchaseTier": 30})
    assert (status, told["type"]) == (422, "/problems/idempotency-key-reused")
    async with owner_connection(database_url) as connection:
        await connection.execute("UPDATE idempotency_keys SET created_at = now() - interval '25 h'")
    assert (await _post(gateway, "key-1", {"purchaseTier": 30}))[0] == 201


async def test_a_key_is_the_callers_own(gateway: Gateway) -> None:
    one = await place_order(gateway, key="same", subject="student-1")
    two = await place_order(gateway, key="same", subject="student-2")
    assert one["orderId"] != two["orderId"]


async def test_without_a_usable_key_it_is_400(gateway: Gateway) -> None:
    for key in (None, "", '""', "k" * 256, "käse"):
        status, told, _ = await _post(gateway, key)
        assert (status, told["type"]) == (400, "/problems/idempotency-key-missing"), key


async def test_a_refused_request_keeps_its_key_usable(gateway: Gateway) -> None:
    assert (await _post(gateway, "key-1", {"courseId": "unknown"}))[0] == 404
    assert (await _post(gateway, "key-1"))[0] == 201


async def test_a_provider_that_is_switched_off_is_404(gateway: Gateway) -> None:
    status, told, _ = await _post(gateway, body={"provider": "paypal"})
    assert (status, told["type"]) == (404, "/problems/unknown-provider")


SCHEDULES: list[tuple[str, object]] = [
    ("startDate", "2020-01-01"),
    ("startDate", "2099-01-01"),
    ("startDate", "1767225600"),
    ("startDate", "2027-02-30"),
    ("timeSlot", "24:00"),
    ("weekdays", []),
    ("weekdays", [1, 1]),
    ("weekdays", [0]),
    ("weekdays", [True]),
    ("timeZone", "Mars/Olympus"),
    ("timeZone", "../etc/passwd"),
    ("durationMinutes", 14),
    ("durationMinutes", 60.5),
    ("durationMinutes", "60"),
    ("mode", "in_person"),
    ("preferredGender", "other"),
    ("location", {"latitude": 91, "longitude": 0}),
    ("location", {"latitude": 1}),
    ("flexibility", ["never"]),
    ("unknown", 1),
]
ORDERS: list[dict[str, object]] = [
    {"purchaseTier": 15},
    {"purchaseTier": "10"},
    {"courseId": "a" * 65},
    {"courseId": "course 1"},
    {"metadata": {"note": "\0"}},
    {"metadata": {"note": 1}},
    {"metadata": None},
]


async def test_a_schedule_out_of_bounds_names_its_field(gateway: Gateway) -> None:
    for field, value in SCHEDULES:
        status, told, _ = await _post(gateway, body={"schedule": {**SCHEDULE, field: value}})
        assert status == 422, (field, value)
        assert told["errors"][0]["field"].startswith("schedule")


async def test_an_order_out_of_bounds_is_422(gateway: Gateway) -> None:
    for body in ORDERS:
        assert (await _post(gateway, body=body))[0] == 422, body
