"""Through gateways of one database, approving and allocating the same purchase for different trainers."""

import asyncio
from pathlib import Path

from services.gateway_api.callers.roles import Role
from tests.support.gateway import STUDENT, Gateway, add_course, owner_connection, running_gateway
from tests.support.staff import COURSE, add_purchase, ask, put_trainer

_ROUNDS = 5


async def _decide(gateway: Gateway, operator: str, path: str, body: dict[str, str]) -> tuple[str, int, dict[str, str]]:
    headers = gateway.headers(Role.SUPPORT, subject=operator)
    status, told = await gateway.call("POST", f"/api/v1/admin/allocations{path}", json=body, headers=headers)
    return operator, status, told


async def _pending(gateway: Gateway, database_url: str, number: int) -> tuple[str, str]:
    """(student, allocation), of a purchase for which there is nobody yet."""
    student = f"{STUDENT}-{number}"
    await add_purchase(database_url, f"legacy-{number}", student=student, timeSlot=f"{16 + number}:00")
    asked = {"studentId": student, "courseId": COURSE}
    _, told = await ask(gateway, "POST", "/allocations/retry-auto-assign", asked)
    assert told["status"] == "pending"
    return student, told["allocationId"]


async def test_one_wins_and_the_other_sees_who_won(database_url: str, tmp_path: Path) -> None:
    await add_course(database_url)
    async with running_gateway(database_url, tmp_path) as one, running_gateway(database_url, tmp_path) as two:
        pendings = [await _pending(one, database_url, number) for number in range(_ROUNDS)]
        for number in (1, 2):
            await put_trainer(one, f"trainer-{number}")
        for student, allocation in pendings:
            asked = {"studentId": student, "courseId": COURSE}
            answers = await asyncio.gather(
                _decide(one, "staff-1", f"/{allocation}/approve", {"trainerId": "trainer-1"}),
                _decide(two, "staff-2", "/allocate", asked | {"trainerId": "trainer-2"}),
            )
            (winner, _, won), (_, status, lost) = sorted(answers, key=lambda answer: answer[1])
            assert (status, lost["type"]) == (409, "/problems/already-decided"), answers
            assert (lost["decidedBy"], lost["trainerId"]) == (winner, won["trainerId"])
            async with owner_connection(database_url) as connection:
                booked = await connection.fetch(
                    "SELECT DISTINCT trainer_id FROM tutoring_sessions WHERE student_id = $1 AND status = 'scheduled'",
                    student,
                )
            assert [row["trainer_id"] for row in booked] == [won["trainerId"]]
