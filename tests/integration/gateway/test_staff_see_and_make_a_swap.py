import pytest

from services.common.events import purchase_id_of
from tests.support.gateway import STUDENT, Gateway, owner_connection
from tests.support.staff import COURSE, add_purchase, ask, put_trainer


@pytest.fixture
async def waiting(gateway: Gateway, database_url: str) -> str:
    """A purchase for which trainer-1 was taken by an earlier one, of another student."""
    await put_trainer(gateway, weeklyCapacityMinutes=60 * 8)
    await add_purchase(database_url, "legacy-1", student="student-2")
    async with owner_connection(database_url) as connection:
        taken = await connection.fetchrow("SELECT * FROM assign_trainer($1, 'auto')", purchase_id_of("legacy-1"))
        assert taken is not None
        assert taken["trainer_id"] == "trainer-1"
    # A man, whom the second student does not want.
    await put_trainer(gateway, "trainer-2", gender="male")
    await add_purchase(database_url, "legacy-2", preferredGender="female")
    status, told = await ask(
        gateway, "POST", "/allocations/retry-auto-assign", {"studentId": STUDENT, "courseId": COURSE}
    )
    assert (status, told["status"]) == (200, "pending")
    allocation_id: str = told["allocationId"]
    return allocation_id


async def test_the_list_of_pendings_tells_near_misses_and_swaps(gateway: Gateway, waiting: str) -> None:
    _, page = await ask(gateway, "GET", "/allocations?status=pending")
    (item,) = page["items"]
    assert item["allocationId"] == waiting
    assert [(miss["trainerId"], miss["fails"]) for miss in item["nearMisses"]] == [
        ("trainer-1", ["dates"]),
        ("trainer-2", ["gender"]),
    ]
    assert item["nearMisses"][0]["sessionsInTheWay"] == 10
    assert item["cutShort"] is False
    (swap,) = item["repairs"]
    assert (swap["trainerId"], swap["toTrainerId"]) == ("trainer-1", "trainer-2")


async def test_making_the_swap_frees_the_slot_and_is_audited_and_announced(
    gateway: Gateway, waiting: str, database_url: str
) -> None:
    _, page = await ask(gateway, "GET", "/allocations?status=pending")
    swap = page["items"][0]["repairs"][0]
    path = f"/allocations/{swap['allocationId']}/reassign"
    body = {"trainerId": swap["toTrainerId"], "reason": "frees a slot"}
    status, told = await ask(gateway, "POST", path, body)
    assert (status, told["status"], told["trainerId"]) == (200, "approved", "trainer-2")
    # The first allocation is over: a second operator with the same list is told so.
    status, again = await ask(gateway, "POST", path, body)
    assert (status, again["type"]) == (409, "/problems/already-decided")
    status, told = await ask(gateway, "POST", f"/allocations/{waiting}/approve", {})
    assert (status, told["trainerId"]) == (200, "trainer-1")
    async with owner_connection(database_url) as connection:
        audited = await connection.fetch(
            """
            SELECT reason, before ->> 'trainerId' AS from_trainer, after ->> 'trainerId' AS to_trainer
              FROM audit_log WHERE action = 'allocation.reassign'
            """
        )
        sent = await connection.fetchval("SELECT count(*) FROM outbox WHERE type = 'TrainerAssigned'")
    assert [tuple(row) for row in audited] == [("frees a slot", "trainer-1", "trainer-2")]
    assert sent == 2


async def test_a_trainer_who_does_not_fit_is_not_moved_to(gateway: Gateway, waiting: str) -> None:
    _, page = await ask(gateway, "GET", "/allocations?status=pending")
    path = f"/allocations/{page['items'][0]['repairs'][0]['allocationId']}/reassign"
    await put_trainer(gateway, "trainer-3", courses=["course-0002"])
    status, told = await ask(gateway, "POST", path, {"trainerId": "trainer-3"})
    assert (status, told["type"], told["reason"]) == (409, "/problems/trainer-does-not-fit", "specialty")
