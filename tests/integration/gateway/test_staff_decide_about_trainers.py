from typing import Any
from uuid import UUID, uuid4

import orjson
import pytest

from services.common.codec import EncodedEvent
from services.common.events import TrainerAssigned, allocation_event_id
from tests.support.gateway import STUDENT, Gateway, owner_connection
from tests.support.staff import COURSE, add_purchase, ask, put_trainer


@pytest.fixture
async def purchase(database_url: str) -> str:
    return await add_purchase(database_url)


async def _retry(gateway: Gateway) -> Any:  # noqa: ANN401 - JSON
    body = {"studentId": STUDENT, "courseId": COURSE}
    status, told = await ask(gateway, "POST", "/allocations/retry-auto-assign", body)
    assert status == 200, told
    return told


async def test_a_purchase_nobody_can_teach_is_pending_with_its_reason(gateway: Gateway, purchase: str) -> None:
    told = await _retry(gateway)
    assert (told["status"], told["trainerId"], told["reason"]) == ("pending", None, "specialty")
    status, page = await ask(gateway, "GET", "/allocations?status=pending")
    assert status == 200
    [item] = page["items"]
    assert (item["allocationId"], item["orderId"], item["reason"]) == (told["allocationId"], purchase, "specialty")


async def test_a_frozen_purchase_is_on_nobodys_list_until_it_is_active_again(
    gateway: Gateway, purchase: str, database_url: str
) -> None:
    await _retry(gateway)
    listed = []
    async with owner_connection(database_url) as connection:
        for status in ("frozen", "active"):
            await connection.execute("UPDATE student_course_purchases SET status = $1", status)
            _, page = await ask(gateway, "GET", "/allocations?status=pending")
            listed.append([item["orderId"] for item in page["items"]])
    assert listed == [[], [purchase]]


async def test_of_several_purchases_the_oldest_without_an_approved_allocation_is_tried(
    gateway: Gateway, purchase: str, database_url: str
) -> None:
    older = await add_purchase(database_url, "legacy-0")
    await put_trainer(gateway)
    tried = []
    async with owner_connection(database_url) as connection:
        await connection.execute(
            "UPDATE student_course_purchases SET purchase_date = purchase_date - interval '9 days' WHERE order_id = $1",
            older,
        )
        for _ in range(2):
            told = await _retry(gateway)
            tried += await connection.fetch(
                "SELECT bought.order_id, allocation.status FROM trainer_allocations allocation"
                " JOIN student_course_purchases bought ON bought.id = allocation.purchase_id WHERE allocation.id = $1",
                UUID(told["allocationId"]),
            )
    assert [row["order_id"] for row in tried] == [older, purchase]
    assert tried[0]["status"] == "approved"


async def test_a_trainer_who_comes_later_is_found_and_announced_once(
    gateway: Gateway, purchase: str, database_url: str
) -> None:
    pending = await _retry(gateway)
    await put_trainer(gateway)
    approved = await _retry(gateway)
    assert approved == {
        "allocationId": pending["allocationId"], "status": "approved", "trainerId": "trainer-1", "reason": None,
    }  # fmt: skip
    assert await _retry(gateway) == approved
    async with owner_connection(database_url) as connection:
        rows = await connection.fetch(
            "SELECT event_id, type, version, payload, order_id FROM outbox ORDER BY order_seq"
        )
        audited = await connection.fetch(
            "SELECT actor, action, before, after FROM audit_log WHERE action LIKE 'allocation.%' ORDER BY id"
        )
    assert [row["type"] for row in rows] == ["AllocationPending", "TrainerAssigned"]
    event = gateway.dependencies.codec.decode_body(
        EncodedEvent(type=rows[1]["type"], version=rows[1]["version"], body=rows[1]["payload"])
    )
    assert isinstance(event, TrainerAssigned)
    assert (event.order_id, event.trainer_id, event.session_count) == (purchase, "trainer-1", 10)
    assert event.event_id == rows[1]["event_id"]
    assert event.event_id != allocation_event_id("AllocationPending", event.allocation_id, 1)
    assert [(row["actor"], row["action"]) for row in audited] == [("staff-1", "allocation.retry")] * 3
    assert [orjson.loads(row["before"] or "null") for row in audited] == [None, pending, approved]
    assert [orjson.loads(row["after"]) for row in audited] == [pending, approved, approved]


async def test_a_person_approves_with_a_trainer_of_their_choice(gateway: Gateway, purchase: str) -> None:
    pending = await _retry(gateway)
    await put_trainer(gateway, "trainer-7")
    path = f"/allocations/{pending['allocationId']}/approve"
    body = {"trainerId": "trainer-7", "reason": "asked on the phone"}
    status, told = await ask(gateway, "POST", path, body)
    assert (status, told["status"], told["trainerId"]) == (200, "approved", "trainer-7")
    status, told = await ask(gateway, "POST", path, body)
    assert (status, told["type"], told["decidedBy"]) == (409, "/problems/already-decided", "staff-1")


async def test_a_repeated_key_repeats_the_answer_instead_of_the_decision(gateway: Gateway, purchase: str) -> None:
    pending = await _retry(gateway)
    await put_trainer(gateway)
    path = f"/allocations/{pending['allocationId']}/approve"
    first = await ask(gateway, "POST", path, {"trainerId": "trainer-1"}, **{"Idempotency-Key": "one"})
    assert first[0] == 200
    assert await ask(gateway, "POST", path, {"trainerId": "trainer-1"}, **{"Idempotency-Key": "one"}) == first


async def test_a_key_that_cannot_be_kept_is_refused_and_nothing_is_decided(gateway: Gateway, purchase: str) -> None:
    pending = await _retry(gateway)
    await put_trainer(gateway)
    path = f"/allocations/{pending['allocationId']}/approve"
    for key in ("", "k" * 256):
        status, told = await ask(gateway, "POST", path, {"trainerId": "trainer-1"}, **{"Idempotency-Key": key})
        assert (status, told["type"]) == (400, "/problems/idempotency-key-missing")
    assert (await ask(gateway, "POST", path, {"trainerId": "trainer-1"}))[0] == 200


async def test_allocating_checks_what_the_machine_checks(gateway: Gateway, purchase: str) -> None:
    await put_trainer(gateway, "trainer-2", courses=["course-0002"])
    body = {"studentId": STUDENT, "courseId": COURSE, "trainerId": "trainer-2"}
    status, told = await ask(gateway, "POST", "/allocations/allocate", body)
    assert (status, told["type"], told["reason"]) == (409, "/problems/trainer-does-not-fit", "specialty")
    await put_trainer(gateway, "trainer-2")
    status, told = await ask(gateway, "POST", "/allocations/allocate", body)
    assert (status, told["status"], told["trainerId"]) == (201, "approved", "trainer-2")
    status, told = await ask(gateway, "POST", "/allocations/allocate", body)
    assert (status, told["type"]) == (409, "/problems/already-decided")


async def test_a_purchase_that_lacks_nothing_is_given_nobody_and_staff_are_told(
    gateway: Gateway, purchase: str, database_url: str
) -> None:
    pending = await _retry(gateway)
    await put_trainer(gateway)
    asked = {"studentId": STUDENT, "courseId": COURSE}
    attempts: tuple[tuple[str, dict[str, str]], ...] = (
        (f"/allocations/{pending['allocationId']}/approve", {}),
        ("/allocations/allocate", {**asked, "trainerId": "trainer-1"}),
        ("/allocations/retry-auto-assign", asked),
    )
    async with owner_connection(database_url) as connection:
        await connection.execute("UPDATE student_course_purchases SET sessions_total = 0")
        for path, body in attempts:
            status, told = await ask(gateway, "POST", path, body)
            assert (status, told["type"]) == (409, "/problems/no-trainer-needed"), path
        # Nor is it a mistake of ours when nothing waits.
        await connection.execute("UPDATE trainer_allocations SET status = 'cancelled'")
        for path, body in attempts[1:]:
            status, told = await ask(gateway, "POST", path, body)
            assert (status, told["type"]) == (409, "/problems/no-trainer-needed"), path
        audited = await connection.fetchval("SELECT count(*) FROM audit_log WHERE action LIKE 'allocation.%'")
    assert audited == 1


async def test_what_is_not_there_is_404(gateway: Gateway) -> None:
    asked = {"studentId": STUDENT, "courseId": COURSE}
    assert (await ask(gateway, "POST", "/allocations/retry-auto-assign", asked))[0] == 404
    assert (await ask(gateway, "POST", "/allocations/allocate", {**asked, "trainerId": "t"}))[0] == 404
    for allocation_id in (uuid4(), "7"):
        assert (await ask(gateway, "POST", f"/allocations/{allocation_id}/approve", {}))[0] == 404


async def test_a_decision_that_fails_leaves_neither_audit_nor_event(
    gateway: Gateway, purchase: str, database_url: str
) -> None:
    async with owner_connection(database_url) as connection:
        await connection.execute("ALTER TABLE outbox ADD CONSTRAINT broken CHECK (false) NOT VALID")
        body = {"studentId": STUDENT, "courseId": COURSE}
        assert (await ask(gateway, "POST", "/allocations/retry-auto-assign", body))[0] == 500
        assert await connection.fetchval("SELECT count(*) FROM audit_log") == 0
        assert await connection.fetchval("SELECT count(*) FROM trainer_allocations") == 0
