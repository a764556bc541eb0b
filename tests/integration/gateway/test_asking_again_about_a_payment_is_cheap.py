"""GET /api/v1/payments/{orderId}, as a page asks it until the course is set up."""

from collections.abc import Mapping

import pytest

from services.gateway_api.bodies.answers import PaymentAnswer
from services.gateway_api.callers.roles import Role
from services.gateway_api.students.payments import poll_again_s
from tests.support.gateway import Gateway, owner_connection, place_order


async def _get(gateway: Gateway, path: str, **headers: str) -> tuple[int, bytes, Mapping[str, str]]:
    sent = gateway.headers(Role.STUDENT) | headers
    async with gateway.http.get(gateway.url + path, headers=sent) as answer:
        return answer.status, await answer.read(), answer.headers


async def test_an_answer_that_did_not_change_is_not_sent_again(gateway: Gateway, database_url: str) -> None:
    path = f"/api/v1/payments/{(await place_order(gateway, key='key-1'))['orderId']}"
    status, body, headers = await _get(gateway, path)
    assert (status, headers["Cache-Control"], headers["Retry-After"]) == (200, "private, no-cache", "2")
    known = headers["ETag"]

    status, body, headers = await _get(gateway, path, **{"If-None-Match": f'"other", {known}'})
    assert (status, body) == (304, b"")
    assert (headers["ETag"], headers["Retry-After"]) == (known, "2")

    async with owner_connection(database_url) as connection:
        await connection.execute("UPDATE payments SET status = 'failed'")
    status, body, headers = await _get(gateway, path, **{"If-None-Match": known})
    assert status == 200
    assert b'"failed"' in body
    assert headers["ETag"] != known
    assert "Retry-After" not in headers


@pytest.mark.parametrize("sent", ["", '"', "nonsense", 'W/"', '"a" "b"', "\xff", '"' + "x" * 4000 + '"'])
async def test_a_senseless_condition_is_ignored(gateway: Gateway, sent: str) -> None:
    path = f"/api/v1/payments/{(await place_order(gateway, key='key-1'))['orderId']}"
    assert (await _get(gateway, path, **{"If-None-Match": sent}))[0] == 200


async def test_the_answer_to_a_stranger_tells_nothing_by_its_condition(gateway: Gateway) -> None:
    path = f"/api/v1/payments/{(await place_order(gateway, key='key-1'))['orderId']}"
    _, _, headers = await _get(gateway, path)
    stranger = gateway.headers(Role.STUDENT, subject="student-2")
    status, _, _ = await _get(gateway, path, **stranger, **{"If-None-Match": headers["ETag"]})
    assert status == 404


@pytest.mark.parametrize(
    ("status", "waited_s", "again_s"),
    [
        ("created", -5.0, 2), ("created", 19.0, 2), ("created", 100.0, 10), ("created", 86_400.0, 60),
        ("succeeded", 0.1, 2), ("review", 0.1, 60), ("failed", 0.1, None), ("refunded", 0.1, None),
        ("partially_refunded", 0.1, None), ("disputed", 0.1, None), ("charged_back", 0.1, None),
    ],
)  # fmt: skip
def test_the_longer_it_takes_the_seldomer_it_is_asked(status: str, waited_s: float, again_s: int | None) -> None:
    assert poll_again_s(_payment(status), waited_s) == again_s


@pytest.mark.parametrize(("allocation", "again_s"), [("approved", None), ("pending", 60), ("cancelled", None)])
def test_it_is_over_when_a_trainer_was_found(allocation: str, again_s: int | None) -> None:
    assert poll_again_s(_payment("succeeded", allocation), 0.1) == again_s


def _payment(status: str, allocation: str | None = None) -> PaymentAnswer:
    found = None
    if allocation is not None:
        found = {
            "allocation_id": "00000000-0000-0000-0000-000000000001",
            "purchase_id": "00000000-0000-0000-0000-000000000002",
            "order_id": "ord_1", "student_id": "s", "course_id": "c", "status": allocation, "trainer_id": None,
            "reason": None, "relaxation": None, "created_at": "2026-01-01T00:00:00Z",
        }  # fmt: skip
    values = {
        "order_id": "ord_1", "status": status, "payment_id": None, "amount_minor": 1, "currency": "INR",
        "confirmed_at": None, "purchase": None, "allocation": found,
    }  # fmt: skip
    return PaymentAnswer.model_validate(values, by_name=True)


async def test_a_connection_that_is_given_back_costs_no_statement(gateway: Gateway) -> None:
    database = gateway.dependencies.database
    async with database.connection() as connection:
        marked = await connection.fetchval("SELECT pg_backend_pid() FROM set_config('coursepay.mark', 'left', false)")
    # asyncpg's own reset, a statement for each request, would have wiped it out.
    async with database.connection() as connection:
        row = await connection.fetchrow("SELECT pg_backend_pid(), current_setting('coursepay.mark', true)")
    assert row is not None
    assert tuple(row) == (marked, "left")
