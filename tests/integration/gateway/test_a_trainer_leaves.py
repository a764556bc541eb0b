import asyncio

import orjson

from services.assignment_worker.departures import finish_departures
from services.common.database import open_database
from services.common.events import purchase_id_of
from tests.support.gateway import Gateway, owner_connection
from tests.support.staff import add_purchase, ask, put_trainer

_LEFT = """
SELECT count(*) FROM tutoring_sessions WHERE trainer_id = 'trainer-1' AND status = 'scheduled'
"""


async def _three_taught(gateway: Gateway, database_url: str) -> None:
    """By trainer-1, who is the only one: at two times of the day for students of their own, and once for a woman."""
    await put_trainer(gateway)
    for number, wish in enumerate(({"timeSlot": "18:00"}, {"timeSlot": "20:00"}, {"timeSlot": "22:00"})):
        order = f"legacy-{number}"
        gender = "female" if number == 2 else None
        await add_purchase(database_url, order, student=f"student-{number}", preferredGender=gender, **wish)
        async with owner_connection(database_url) as connection:
            told = await connection.fetchrow("SELECT * FROM assign_trainer($1, 'auto')", purchase_id_of(order))
        assert told is not None
        assert told["trainer_id"] == "trainer-1"


async def _work(gateway: Gateway) -> None:
    settings = gateway.dependencies.settings
    async with open_database(settings, role="coursepay_assignment_worker", application="test") as database:
        await finish_departures(database, gateway.dependencies.codec, asyncio.Event())


async def test_the_sessions_to_come_go_to_others_or_wait_and_the_report_says_so(
    gateway: Gateway, database_url: str
) -> None:
    await _three_taught(gateway, database_url)
    await put_trainer(gateway, "trainer-2", gender="male")
    status, job = await ask(gateway, "POST", "/trainers/trainer-1/deactivate", {"reason": "moves away"})
    assert (status, job["planned"], job["finishedAt"]) == (202, 3, None)
    # Asked for again, it is the same job.
    assert (await ask(gateway, "POST", "/trainers/trainer-1/deactivate"))[1]["departureId"] == job["departureId"]
    await _work(gateway)
    status, report = await ask(gateway, "GET", "/trainers/trainer-1/departure")
    assert status == 200
    assert (report["reassigned"], report["pending"], report["ended"]) == (2, 1, 0)
    assert report["finishedAt"] is not None
    assert {item["orderId"]: (item["result"], item["trainerId"]) for item in report["items"]} == {
        "legacy-0": ("reassigned", "trainer-2"),
        "legacy-1": ("reassigned", "trainer-2"),
        "legacy-2": ("pending", None),
    }
    async with owner_connection(database_url) as connection:
        assert await connection.fetchval(_LEFT) == 0
        assert await connection.fetchval("SELECT load_minutes FROM trainers WHERE trainer_id = 'trainer-1'") == 0
        sent = await connection.fetch("SELECT type FROM outbox ORDER BY id")
        assert sorted(row["type"] for row in sent) == ["AllocationPending", "TrainerAssigned", "TrainerAssigned"]
        audited = await connection.fetch("SELECT before FROM audit_log WHERE action = 'trainer.deactivate' ORDER BY id")
    assert [orjson.loads(row["before"]) for row in audited] == [{"active": True}, {"active": False}]


async def test_on_request_a_person_looks_at_each_before_anybody_takes_over(gateway: Gateway, database_url: str) -> None:
    await _three_taught(gateway, database_url)
    await put_trainer(gateway, "trainer-2")
    status, job = await ask(gateway, "POST", "/trainers/trainer-1/deactivate", {"plan": "pending"})
    assert (status, job["plan"]) == (202, "pending")
    await _work(gateway)
    _, report = await ask(gateway, "GET", "/trainers/trainer-1/departure")
    assert (report["reassigned"], report["pending"], report["ended"]) == (0, 3, 0)
    async with owner_connection(database_url) as connection:
        assert await connection.fetchval(_LEFT) == 0
        assert await connection.fetchval("SELECT count(*) FROM load_drift") == 0
    _, page = await ask(gateway, "GET", "/allocations?status=pending")
    assert [item["reason"] for item in page["items"]] == ["leave"] * 3
    allocation = page["items"][0]["allocationId"]
    status, told = await ask(gateway, "POST", f"/allocations/{allocation}/approve", {"trainerId": "trainer-2"})
    assert (status, told["status"], told["trainerId"]) == (200, "approved", "trainer-2")
    assert (await ask(gateway, "POST", "/trainers/trainer-2/deactivate", {"plan": "dismiss"}))[0] == 422


async def test_a_job_that_was_cut_off_goes_on_where_it_was(gateway: Gateway, database_url: str) -> None:
    await _three_taught(gateway, database_url)
    await put_trainer(gateway, "trainer-2")
    _, job = await ask(gateway, "POST", "/trainers/trainer-1/deactivate")
    async with owner_connection(database_url) as connection:
        await connection.execute("SELECT depart_next($1, $2)", job["departureId"], purchase_id_of("legacy-0"))
    _, halfway = await ask(gateway, "GET", "/trainers/trainer-1/departure")
    assert (halfway["reassigned"], halfway["finishedAt"]) == (1, None)
    await _work(gateway)
    _, report = await ask(gateway, "GET", "/trainers/trainer-1/departure")
    assert report["reassigned"] == 3


async def test_a_purchase_that_fails_holds_up_no_other_and_the_report_has_its_error(
    gateway: Gateway, database_url: str
) -> None:
    await _three_taught(gateway, database_url)
    await put_trainer(gateway, "trainer-2")
    await ask(gateway, "POST", "/trainers/trainer-1/deactivate")
    await put_trainer(gateway, "trainer-3")
    _, later = await ask(gateway, "POST", "/trainers/trainer-3/deactivate")
    async with owner_connection(database_url) as connection:
        await connection.execute(
            f"""
            ALTER TABLE trainer_departure_items ADD CONSTRAINT broken
                CHECK (result = 'failed' OR purchase_id <> '{purchase_id_of("legacy-0")}')
            """
        )
        await _work(gateway)
        _, report = await ask(gateway, "GET", "/trainers/trainer-1/departure")
        assert (report["reassigned"], report["failed"], report["finishedAt"]) == (2, 1, None)
        (failed,) = (item for item in report["items"] if item["result"] == "failed")
        assert (failed["orderId"], failed["trainerId"]) == ("legacy-0", None)
        assert "broken" in failed["error"]
        _, other = await ask(gateway, "GET", "/trainers/trainer-3/departure")
        assert (other["departureId"], other["finishedAt"] is None) == (later["departureId"], False)
        await connection.execute("ALTER TABLE trainer_departure_items DROP CONSTRAINT broken")
        await connection.execute("UPDATE trainer_departure_items SET done_at = done_at - interval '2 min'")
    await _work(gateway)
    _, report = await ask(gateway, "GET", "/trainers/trainer-1/departure")
    assert (report["reassigned"], report["failed"]) == (3, 0)
    assert report["finishedAt"] is not None
    assert {item["error"] for item in report["items"]} == {None}


async def test_what_staff_moved_meanwhile_is_left_where_it_is(gateway: Gateway, database_url: str) -> None:
    await _three_taught(gateway, database_url)
    await put_trainer(gateway, "trainer-2")
    _, job = await ask(gateway, "POST", "/trainers/trainer-1/deactivate")
    purchase = purchase_id_of("legacy-0")
    live = "SELECT * FROM trainer_allocations WHERE purchase_id = $1 AND status = 'approved'"
    async with owner_connection(database_url) as connection:
        await connection.execute("SELECT set_departure_aside($1, $2, 'no answer')", job["departureId"], purchase)
        allocation = await connection.fetchrow(live, purchase)
        assert allocation is not None
        body = {"trainerId": "trainer-2"}
        assert (await ask(gateway, "POST", f"/allocations/{allocation['id']}/reassign", body))[0] == 200
        moved = await connection.fetchrow(live, purchase)
        late = await connection.fetchrow("SELECT * FROM depart_next($1, $2)", job["departureId"], purchase)
        assert late is not None
        assert (late["result"], late["trainer_id"]) == ("duplicate", "trainer-2")
        await _work(gateway)
        assert await connection.fetchrow(live, purchase) == moved
    _, report = await ask(gateway, "GET", "/trainers/trainer-1/departure")
    assert (report["reassigned"], report["failed"], report["finishedAt"] is None) == (3, 0, False)


async def test_an_unknown_trainer_cannot_leave(gateway: Gateway) -> None:
    assert (await ask(gateway, "POST", "/trainers/nobody/deactivate"))[0] == 404
    assert (await ask(gateway, "GET", "/trainers/nobody/departure"))[0] == 404
