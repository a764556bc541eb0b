"""From a student's callback to a course with a trainer, a calendar and messages, through every service."""

import asyncio

from services.common.settings import Settings
from tests.support.eventually import eventually
from tests.support.gateway import STUDENT
from tests.support.services import lag_of
from tests.support.staff import ask, put_trainer
from tests.support.whole_system import WholeSystem, whole_system

_MOVE_TO_THE_PAST = """
UPDATE tutoring_sessions SET starts_at = now() - interval '2 hours', ends_at = now() - interval '1 hour' WHERE id = $1
"""


async def decision_of(system: WholeSystem, order_id: str) -> str | None:
    told = await system.ask(f"/api/v1/payments/{order_id}")
    return told["allocation"]["status"] if told["allocation"] is not None else None


async def test_a_payment_becomes_a_course_with_a_trainer_and_two_messages(settings: Settings) -> None:
    async with whole_system(settings) as system:
        await put_trainer(system.gateway)
        order_id = await system.buy(key="key-1")

        async def is_approved() -> bool:
            return await decision_of(system, order_id) == "approved"

        await eventually(is_approved, within_s=60)
        (purchase,) = (await system.ask(f"/api/v1/students/{STUDENT}/purchases"))["items"]
        assert (purchase["orderId"], purchase["status"], purchase["purchaseTier"]) == (order_id, "active", 10)
        sessions = (await system.ask(f"/api/v1/students/{STUDENT}/sessions"))["items"]
        assert len(sessions) == 10
        assert {session["trainerId"] for session in sessions} == {"trainer-1"}

        async def both_sent() -> bool:
            rows = await system.fetch("SELECT event_type, status FROM notifications ORDER BY event_type")
            told = [(row["event_type"], row["status"]) for row in rows]
            return told == [("PurchaseCreated", "sent"), ("TrainerAssigned", "sent")]

        await eventually(both_sent)
        async with system.gateway.http.get(f"{system.settings.push_url}/control/push") as answer:
            counts = await answer.json()
        assert (counts["messages"], counts["repeated"]) == (2, 0)


async def test_a_completed_session_shows_in_the_students_progress(settings: Settings) -> None:
    async with whole_system(settings) as system:
        await put_trainer(system.gateway)
        await system.buy(key="key-1")

        async def first_session() -> str | None:
            items = (await system.ask(f"/api/v1/students/{STUDENT}/sessions"))["items"]
            return items[0]["sessionId"] if items else None

        session_id = await eventually(first_session, within_s=60)
        await system.fetch(_MOVE_TO_THE_PAST, session_id)
        status, told = await ask(system.gateway, "POST", f"/sessions/{session_id}/complete", {})
        assert status == 200, told
        (progress,) = (await system.ask(f"/api/v1/students/{STUDENT}/progress"))["items"]
        assert (progress["sessionsTotal"], progress["sessionsCompleted"]) == (10, 1)


async def test_without_a_trainer_the_course_is_bought_and_waits_for_one(settings: Settings) -> None:
    async with whole_system(settings) as system:
        order_id = await system.buy(key="key-1")

        async def is_pending() -> bool:
            return await decision_of(system, order_id) == "pending"

        await eventually(is_pending, within_s=60)
        (purchase,) = (await system.ask(f"/api/v1/students/{STUDENT}/purchases"))["items"]
        assert purchase["status"] == "active"
        assert (await system.ask(f"/api/v1/students/{STUDENT}/sessions"))["items"] == []
        # A trainer who fits comes later: the waiting purchase is tried again without anybody asking.
        await put_trainer(system.gateway)

        async def is_approved() -> bool:
            return await decision_of(system, order_id) == "approved"

        await eventually(is_approved, within_s=60)


async def test_concurrent_payments_end_as_one_course_each(settings: Settings) -> None:
    students = [f"student-{number}" for number in range(40)]
    async with whole_system(settings) as system:
        at_once = asyncio.Semaphore(8)

        async def buy(student: str) -> str:
            async with at_once:
                return await system.buy(key=f"key-{student}", subject=student)

        orders = await asyncio.gather(*map(buy, students))

        async def all_decided() -> bool:
            (row,) = await system.fetch("SELECT count(*) AS rows FROM trainer_allocations")
            return bool(row["rows"] == len(students))

        await eventually(all_decided, within_s=60)
        rows = await system.fetch("SELECT order_id, student_id FROM student_course_purchases")
        assert {row["order_id"]: row["student_id"] for row in rows} == dict(zip(orders, students, strict=True))

        async def is_quiet() -> bool:
            workers = ("purchase-worker", "assignment-worker", "notifier")
            return not any([await lag_of(system.settings, worker) for worker in workers])

        await eventually(is_quiet, within_s=60)
        assert await system.fetch("SELECT 1 FROM dead_letters") == []
