"""Records and deliveries for unit tests, without a broker."""

from services.common.events import PaymentSucceeded
from services.common.settings import Settings
from services.common.topics import Topics
from services.engine.records import Delivery, Header, Record

TOPICS = Topics.of(Settings(kafka_topic_prefix="t-"))
MAIN = TOPICS.main(PaymentSucceeded)


def record(
    *,
    topic: str = MAIN,
    partition: int = 0,
    offset: int = 0,
    key: bytes | None = b"ord_1",
    value: bytes | None = b"bytes",
    headers: tuple[Header, ...] = (),
) -> Record:
    return Record(topic, partition, offset, 1_700_000_000_000, key, value, headers)


def delivery(
    *, offset: int = 0, partition: int = 0, tier: str | None = None, retries: int = 0, size: int = 5
) -> Delivery:
    return Delivery(
        record=record(offset=offset, partition=partition, value=b"x" * size),
        generation=1,
        expected=PaymentSucceeded,
        retries=retries,
        tier=tier,
    )
