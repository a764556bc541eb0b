"""One trace from the callback to the last message, through retries; a replay begins another that points back."""

from collections import Counter
from uuid import uuid4

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import SpanKind

from services.common.settings import Settings
from services.operations.replay.targets import replayed_headers
from tests.support.deliveries import record
from tests.support.eventually import eventually
from tests.support.staff import put_trainer
from tests.support.traces import recorded_spans, span_id_of, trace_id_of
from tests.support.whole_system import WholeSystem, whole_system

CONFIRM = "POST /api/v1/payments/confirm"
TRACEPARENT = "00-0123456789abcdef0123456789abcdef-0123456789abcdef-01"


def story_of(spans: tuple[ReadableSpan, ...]) -> tuple[ReadableSpan, list[ReadableSpan]]:
    """The span of the confirmation, and the other ones of its trace."""
    (confirmed,) = [span for span in spans if span.name == CONFIRM]
    same = [span for span in spans if trace_id_of(span) == trace_id_of(confirmed) and span is not confirmed]
    return confirmed, same


def steps_of(spans: list[ReadableSpan], settings: Settings) -> Counter[tuple[str, str, str]]:
    """(worker, topic, outcome) -> how often."""
    steps: Counter[tuple[str, str, str]] = Counter()
    for span in spans:
        told = span.attributes or {}
        topic = str(told["messaging.destination.name"]).removeprefix(settings.kafka_topic_prefix)
        steps[str(told["messaging.consumer.group.name"]), topic, str(told["coursepay.outcome"])] += 1
    return steps


async def fail_pushes(system: WholeSystem, *, rate: float) -> None:
    url = f"{system.settings.push_url}/control/failures"
    async with system.gateway.http.get(url) as answer:
        failures = await answer.json()
    failures["push"]["errorRate"] = rate
    async with system.gateway.http.put(url, json=failures) as answer:
        assert answer.status == 200, await answer.text()


async def test_every_step_is_a_child_of_the_confirmation(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    with recorded_spans(monkeypatch) as exporter:
        async with whole_system(settings) as system:
            await put_trainer(system.gateway)
            await system.buy(key="key-1")
            wanted = {
                ("purchase-worker", "payment.succeeded", "ok"): 1,
                ("assignment-worker", "purchase.created", "ok"): 1,
                ("notifier", "purchase.created", "ok"): 1,
                ("notifier", "trainer.assigned", "ok"): 1,
            }

            def is_told() -> bool:
                _, steps = story_of(exporter.get_finished_spans())
                assert steps_of(steps, settings) == wanted
                return True

            await eventually(is_told, within_s=60)
        confirmed, steps = story_of(exporter.get_finished_spans())
        assert (confirmed.kind, confirmed.parent) == (SpanKind.SERVER, None)
        for step in steps:
            assert step.kind is SpanKind.CONSUMER
            assert step.parent is not None
            assert step.parent.span_id == span_id_of(confirmed)


async def test_a_retry_is_one_more_step_of_the_same_trace(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    with recorded_spans(monkeypatch) as exporter:
        async with whole_system(settings) as system:
            await put_trainer(system.gateway)
            await fail_pushes(system, rate=1)
            await system.buy(key="key-1")

            def outcomes(topic: str) -> set[tuple[str, str]]:
                _, steps = story_of(exporter.get_finished_spans())
                counted = steps_of(steps, settings)
                return {
                    (found, outcome) for worker, found, outcome in counted if worker == "notifier" and topic in found
                }

            await eventually(lambda: ("purchase.created", "retried") in outcomes("purchase.created"), within_s=60)
            await fail_pushes(system, rate=0)
            await eventually(lambda: any(outcome == "ok" for _, outcome in outcomes("retry")), within_s=60)


def test_a_replay_begins_a_trace_that_points_to_the_first(monkeypatch: pytest.MonkeyPatch) -> None:
    run_id = uuid4()
    dead = record(headers=(("traceparent", TRACEPARENT.encode()), ("error-class", b"X")))
    with recorded_spans(monkeypatch) as exporter:
        headers = replayed_headers(dead, run_id)
        (begun,) = exporter.get_finished_spans()
    (traceparent,) = [value for name, value in headers if name == "traceparent"]
    (link,) = begun.links
    assert (traceparent or b"").startswith(f"00-{trace_id_of(begun):032x}-{span_id_of(begun):016x}-".encode())
    assert f"{link.context.trace_id:032x}" == TRACEPARENT.split("-")[1]
    assert f"{trace_id_of(begun):032x}" not in TRACEPARENT
    assert begun.attributes == {"coursepay.replay.id": str(run_id)}


def test_without_a_place_for_spans_a_replay_stays_in_the_first_trace() -> None:
    dead = record(headers=(("traceparent", TRACEPARENT.encode()),))
    assert ("traceparent", TRACEPARENT.encode()) in replayed_headers(dead, uuid4())
