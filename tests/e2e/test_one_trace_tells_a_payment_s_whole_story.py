"""One trace from callback to last message, edge by edge: straight, with a retry, and a replay that points back."""

from collections import Counter
from collections.abc import Iterator
from uuid import UUID

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from services.common.settings import Settings
from services.operations.replay.targets import replayed_headers
from tests.support.dead_letters import execute_sql, opened, replay
from tests.support.deliveries import record
from tests.support.eventually import eventually
from tests.support.services import dead_letters
from tests.support.staff import put_trainer
from tests.support.traces import LINK, PARENT, Edges, edges_between, recorded_spans, span_id_of, trace_id_of
from tests.support.whole_system import WholeSystem, whole_system

CONFIRM = "POST /api/v1/payments/confirm"
SEND_PAYMENT, PURCHASE = "send payment.succeeded", "purchase-worker process payment.succeeded"
SEND_PURCHASE, ASSIGN = "send purchase.created", "assignment-worker process purchase.created"
SEND_TRAINER, TELL_TRAINER = "send trainer.assigned", "notifier process trainer.assigned"
TELL_PURCHASE = "notifier process purchase.created"
SEND_RETRY, TELL_AGAIN = "send notifier.retry.2s", "notifier.retry process notifier.retry.2s"
RUN = UUID("0b1c8f9e-4e3b-4d55-9a52-0c7f5a3c2d11")
TRACEPARENT = "00-0123456789abcdef0123456789abcdef-0123456789abcdef-01"
HAND_OFF = "00-0123456789abcdef0123456789abcdef-fedcba9876543210-01"

# What the payment began is the parent of each attempt; what an attempt sent is its child, and the next one links to it.
STRAIGHT: Edges = Counter(
    [
        (PARENT, CONFIRM, SEND_PAYMENT),
        (PARENT, CONFIRM, PURCHASE),
        (LINK, SEND_PAYMENT, PURCHASE),
        (PARENT, PURCHASE, SEND_PURCHASE),
        (PARENT, CONFIRM, ASSIGN),
        (LINK, SEND_PURCHASE, ASSIGN),
        (PARENT, CONFIRM, TELL_PURCHASE),
        (LINK, SEND_PURCHASE, TELL_PURCHASE),
        (PARENT, ASSIGN, SEND_TRAINER),
        (PARENT, CONFIRM, TELL_TRAINER),
        (LINK, SEND_TRAINER, TELL_TRAINER),
    ]
)
RETRIED: Edges = Counter(
    [
        (PARENT, TELL_PURCHASE, SEND_RETRY),
        (PARENT, CONFIRM, TELL_AGAIN),
        (LINK, SEND_RETRY, TELL_AGAIN),
    ]
)
REPLAYED: Edges = Counter(
    [
        (PARENT, "replay", "purchase-worker.retry process purchase-worker.retry.2s"),
        (PARENT, "purchase-worker.retry process purchase-worker.retry.2s", SEND_PURCHASE),
        (PARENT, "replay", ASSIGN),
        (LINK, SEND_PURCHASE, ASSIGN),
    ]
)


def story_of(exporter: InMemorySpanExporter, begins: str = CONFIRM) -> list[ReadableSpan]:
    """The spans of the trace that begins so."""
    spans = exporter.get_finished_spans()
    roots = [span for span in spans if span.name == begins and span.parent is None]
    assert len(roots) == 1, [span.name for span in spans]
    return [span for span in spans if trace_id_of(span) == trace_id_of(roots[0])]


@pytest.fixture
def exporter(monkeypatch: pytest.MonkeyPatch) -> Iterator[InMemorySpanExporter]:
    with recorded_spans(monkeypatch) as recording:
        yield recording


async def fail_pushes(system: WholeSystem, *, rate: float) -> None:
    url = f"{system.settings.push_url}/control/failures"
    async with system.gateway.http.get(url) as answer:
        failures = await answer.json()
    failures["push"]["errorRate"] = rate
    async with system.gateway.http.put(url, json=failures) as answer:
        assert answer.status == 200, await answer.text()


async def test_every_edge_from_the_callback_to_the_last_message(
    settings: Settings, exporter: InMemorySpanExporter
) -> None:
    async with whole_system(settings) as system:
        await put_trainer(system.gateway)
        await system.buy(key="key-1")

        def is_told() -> bool:
            found = edges_between(story_of(exporter), prefix=settings.kafka_topic_prefix)
            assert found == STRAIGHT, found
            return True

        await eventually(is_told, within_s=60)
    kinds = {span.name.split()[0]: span.kind for span in story_of(exporter)}
    assert kinds == {"POST": SpanKind.SERVER, "process": SpanKind.CONSUMER, "send": SpanKind.CLIENT}


async def test_a_retry_goes_on_in_the_same_trace_and_points_to_what_it_came_from(
    settings: Settings, exporter: InMemorySpanExporter
) -> None:
    async with whole_system(settings) as system:
        await put_trainer(system.gateway)
        await fail_pushes(system, rate=1)
        await system.buy(key="key-1")

        def is_handed_on() -> bool:
            return any(span.name.endswith("notifier.retry.2s") for span in story_of(exporter))

        await eventually(is_handed_on, within_s=60)
        await fail_pushes(system, rate=0)

        def is_told() -> bool:
            found = edges_between(story_of(exporter), prefix=settings.kafka_topic_prefix)
            assert not RETRIED - found, found
            return True

        await eventually(is_told, within_s=60)
    failed = [span for span in story_of(exporter) if (span.attributes or {}).get("coursepay.outcome") == "retried"]
    assert failed
    for span in failed:
        assert span.status.status_code is StatusCode.ERROR
        assert (span.attributes or {})["error.type"] in {"Http500", "Http503", "CircuitOpen"}


async def test_a_replay_begins_a_trace_that_points_to_the_first_and_to_its_end(
    settings: Settings, exporter: InMemorySpanExporter
) -> None:
    await execute_sql(
        settings, "ALTER TABLE student_course_purchases ADD CONSTRAINT none CHECK (purchase_tier > 90) NOT VALID"
    )
    async with whole_system(settings) as system:
        await put_trainer(system.gateway)
        await system.buy(key="key-1")

        async def is_dead() -> bool:
            return len(await dead_letters(settings, "purchase-worker")) == 1

        await eventually(is_dead, within_s=60, every_s=0.5)
        await execute_sql(settings, "ALTER TABLE student_course_purchases DROP CONSTRAINT none")
        async with opened(settings) as tools:
            assert (await replay(tools)).counts.replayed == 1

        def is_told() -> bool:
            found = edges_between(story_of(exporter, "replay"), prefix=settings.kafka_topic_prefix)
            assert not REPLAYED - found, found
            return True

        await eventually(is_told, within_s=60)
    first = {span.name: span for span in story_of(exporter)}
    (begun,) = [span for span in story_of(exporter, "replay") if span.parent is None]
    dead = first[f"send {settings.kafka_topic_prefix}purchase-worker.dlq"]
    assert {link.context.span_id for link in begun.links} == {span_id_of(first[CONFIRM]), span_id_of(dead)}


def test_what_is_replayed_has_one_traceparent_and_no_word_of_the_last_hand_off(exporter: InMemorySpanExporter) -> None:
    letter = record(headers=(("traceparent", TRACEPARENT.encode()), ("send-span", HAND_OFF.encode())))
    headers = replayed_headers(letter, RUN)
    (begun,) = exporter.get_finished_spans()

    (traceparent,) = [value for name, value in headers if name == "traceparent"]
    assert (traceparent or b"").startswith(f"00-{trace_id_of(begun):032x}-{span_id_of(begun):016x}-".encode())
    assert "send-span" not in dict(headers)
    assert [f"{link.context.span_id:016x}" for link in begun.links] == ["0123456789abcdef", "fedcba9876543210"]
    assert begun.attributes == {"coursepay.replay.id": str(RUN)}


def test_without_a_place_for_spans_a_replay_stays_in_the_first_trace() -> None:
    letter = record(headers=(("traceparent", TRACEPARENT.encode()),))
    assert ("traceparent", TRACEPARENT.encode()) in replayed_headers(letter, RUN)
