import asyncio
from collections import Counter
from datetime import UTC, datetime, timedelta

from services.assignment_worker.__main__ import serve
from services.common.codec import load_codec
from services.common.events import AllocationPending, Event, PurchaseCreated, TrainerAssigned, order_event_id
from services.common.settings import Settings
from services.common.topics import Topics
from services.engine.records import OutgoingRecord
from services.operations.topic_reader import read_topics
from tests.support.assignment import COURSE, World
from tests.support.events import schedule
from tests.support.eventually import eventually
from tests.support.kafka import send

_PURCHASES = 24


async def test_every_purchase_is_decided_once_and_told(settings: Settings, world: World) -> None:
    """Each record comes twice; half of the purchases are of a course that nobody teaches."""
    topics, codec = Topics.of(settings), load_codec()
    for number in range(_PURCHASES // 2):
        await world.trainer(f"trainer-{number}")
    records = [
        OutgoingRecord(
            topic=topics.main(PurchaseCreated),
            key=event.order_id.encode(),
            value=codec.encode_framed(event),
        )
        for event in [await _bought(world, number) for number in range(_PURCHASES)]
    ]
    await send(settings, records + records)
    stop = asyncio.Event()
    worker = asyncio.create_task(serve(settings, stop))

    async def told() -> list[Event]:
        found = await read_topics(settings, [topics.main(TrainerAssigned), topics.main(AllocationPending)])
        assert len(found) == len(records) * 2
        return [codec.decode(record.value, record.key) for record in found]

    events = await eventually(told, within_s=60.0)
    stop.set()
    await worker
    assert len({event.event_id for event in events}) == _PURCHASES
    assert {(event.order_id, count) for event, count in Counter(events).items()} == {
        (f"order-{number}", 2) for number in range(_PURCHASES)
    }
    statuses = await world.connection.fetch("SELECT status, count(*) FROM trainer_allocations GROUP BY status")
    assert {row["status"]: row["count"] for row in statuses} == {
        "approved": _PURCHASES // 2, "pending": _PURCHASES // 2,
    }  # fmt: skip
    assert await world.connection.fetchval("SELECT count(*) FROM tutoring_sessions") == 10 * _PURCHASES // 2
    assert not await world.drifted()


async def _bought(world: World, number: int) -> PurchaseCreated:
    student, course = f"student-{number}", COURSE if number % 2 else "course-9999"
    purchase_id = await world.purchase(f"order-{number}", student=student, course=course)
    return PurchaseCreated(
        event_id=order_event_id("PurchaseCreated", f"order-{number}"),
        purchase_id=purchase_id,
        order_id=f"order-{number}",
        student_id=student,
        course_id=course,
        purchase_tier=10,
        purchase_date=datetime.now(UTC),
        expiry_date=datetime.now(UTC) + timedelta(days=180),
        schedule=schedule(),
    )
