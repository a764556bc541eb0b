"""Records that are no events, put straight on payment.succeeded, as a broken producer would."""

import asyncio
from datetime import UTC, date, datetime

from services.common.codec import Codec, load_codec
from services.common.events import PaymentSucceeded, Schedule, order_event_id
from services.common.settings import Settings
from services.common.topics import Topics
from services.engine.producer import OutgoingRecord, open_producer
from services.sandbox.demo.patience import patiently
from services.sandbox.demo.plan import Plan

_ORDER_ID = "ord_spoiled"


async def put_poison(settings: Settings, plan: Plan) -> None:
    """Spread over the load. A Kafka that is away is waited for; raises DependencyError when that takes too long."""
    records = poison_records(Topics.of(settings), load_codec())
    async with open_producer(settings, "coursepay-demo") as producer:
        for record in records:
            await asyncio.sleep(plan.duration_s / (len(records) + 1))
            await patiently(producer.send)(record)


def poison_records(topics: Topics, codec: Codec) -> tuple[OutgoingRecord, ...]:
    """Five kinds, made from one good event: no value, no frame, cut off, trailing bytes, another order's key."""
    good, key = codec.encode_framed(_good_event()), _ORDER_ID.encode()
    spoiled: tuple[tuple[bytes, bytes | None], ...] = (
        (key, None),
        (key, b"\x01" + good[1:]),
        (key, good[:-3]),
        (key, good + b"\x00"),
        (b"ord_of_somebody_else", good),
    )
    topic = topics.main(PaymentSucceeded)
    return tuple(OutgoingRecord(topic=topic, key=key, value=value) for key, value in spoiled)


def _good_event() -> PaymentSucceeded:
    return PaymentSucceeded(
        event_id=order_event_id("PaymentSucceeded", _ORDER_ID),
        order_id=_ORDER_ID,
        payment_id="pay_spoiled",
        provider="razorpay",
        student_id="student-000001",
        course_id="course-0001",
        purchase_tier=10,
        amount_minor=100_00,
        currency="INR",
        confirmed_at=datetime.now(UTC),
        schedule=Schedule(
            start_date=date(2030, 1, 7),
            time_slot="18:00",
            weekdays=(1,),
            time_zone="Asia/Kolkata",
            duration_minutes=60,
            mode="online",
        ),
    )
