"""Settling with a producer that refuses: nothing is dropped, and nothing is sent twice that was acknowledged."""

from collections.abc import Sequence
from typing import cast

from services.common.codec import load_codec
from services.common.errors import DependencyError, PermanentError, RecordError, TransientError
from services.common.metrics import Metrics
from services.engine.measures import Measures
from services.engine.outcomes import Done, Outcome, Retry
from services.engine.pauses import Gate, Pauses
from services.engine.producer import Producer
from services.engine.records import Delivery, OutgoingRecord
from services.engine.retries import Ladder
from services.engine.settling import Settler
from tests.support.deliveries import TOPICS, delivery, record
from tests.support.engine import adjusted
from tests.support.events import payment_succeeded

WORKER = "purchase-worker"
DLQ = TOPICS.dead_letters(WORKER)


class FakeProducer:
    """Refuses values above `bytes_max`, and everything `away` times."""

    def __init__(self, *, bytes_max: int = 1_000_000, away: int = 0) -> None:
        self.bytes_max = bytes_max
        self.away = away
        self.acknowledged: list[OutgoingRecord] = []

    async def deliver(self, records: Sequence[OutgoingRecord]) -> list[RecordError | None]:
        return [self._answer(outgoing) for outgoing in records]

    def _answer(self, outgoing: OutgoingRecord) -> RecordError | None:
        if len(outgoing.value or b"") > self.bytes_max:
            return PermanentError("too large")
        if self.away:
            self.away -= 1
            return DependencyError("away", dependency="kafka")
        self.acknowledged.append(outgoing)
        return None


async def _settled(producer: FakeProducer, *handled: tuple[Delivery, Outcome]) -> tuple[list[OutgoingRecord], float]:
    ladder = Ladder(TOPICS, WORKER)
    metrics = Metrics(WORKER, TOPICS)
    settler = Settler(
        producer=cast("Producer", producer),
        gate=Gate(Pauses(lambda _reason, _standing: None), interval_s=0.001),
        ladder=ladder,
        codec=load_codec(),
        topics=TOPICS,
        measures=Measures(metrics, WORKER, ladder),
    )
    await settler.settle(handled, {})
    failures = metrics.registry.get_sample_value("coursepay_handoff_failures_total", {"worker": WORKER})
    return producer.acknowledged, failures or 0.0


async def test_a_hand_off_that_is_too_large_becomes_a_dead_letter_that_points_to_it() -> None:
    large = delivery(offset=7, size=900)
    sent, failures = await _settled(FakeProducer(bytes_max=500), (large, Retry(TransientError("not now"))))
    (pointer,) = sent
    headers = dict(pointer.headers)
    assert (pointer.topic, pointer.key, pointer.value) == (DLQ, b"ord_1", None)
    assert (headers["origin-topic"], headers["origin-offset"]) == (large.record.topic.encode(), b"7")
    assert headers["error-message"] == b"not now"
    assert failures == 1


async def test_an_event_that_is_too_large_makes_its_source_a_dead_letter() -> None:
    done = Done(emit=(adjusted(payment_succeeded("ord_1")),))
    (letter,), _ = await _settled(FakeProducer(bytes_max=20), (delivery(offset=7), done))
    assert (letter.topic, letter.value) == (DLQ, b"xxxxx")
    assert dict(letter.headers)["error-kind"] == b"permanent"


async def test_while_kafka_is_away_only_what_was_not_acknowledged_is_sent_again() -> None:
    handled = [(delivery(offset=offset), Retry(TransientError("not now"))) for offset in range(10)]
    sent, failures = await _settled(FakeProducer(away=4), *handled)
    origins = [dict(outgoing.headers)["origin-offset"] for outgoing in sent]
    assert sorted(origins, key=lambda origin: int(origin or 0)) == [str(offset).encode() for offset in range(10)]
    assert failures == 4


async def test_emitted_events_carry_the_trace_of_their_source() -> None:
    headers = (("traceparent", b"00-trace"), ("theirs", b"x"))
    traced = Delivery(record=record(headers=headers), generation=1, expected=None)
    event = adjusted(payment_succeeded("ord_1"))
    (emitted,), _ = await _settled(FakeProducer(), (traced, Done(emit=(event,))))
    assert emitted.headers == (("traceparent", b"00-trace"),)
    assert load_codec().decode(emitted.value, emitted.key) == event
