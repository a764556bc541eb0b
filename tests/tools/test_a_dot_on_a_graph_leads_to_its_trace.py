"""From a slow bucket to the payments in it: real processes send their spans over OTLP, a real Prometheus keeps their
exemplars, and each of these names a trace that the collector has whole.
"""

from pathlib import Path

import pytest

from services.sandbox.demo.system import System
from services.sandbox.stack import Stack
from tests.support.collector import Collector, collector
from tests.support.demo import assert_balanced, plan_of, shown_on
from tests.support.eventually import eventually
from tests.support.prometheus import prometheus_beside

pytestmark = pytest.mark.tools

HISTOGRAMS = (
    "coursepay_confirmation_duration_seconds_bucket",
    'coursepay_stage_duration_seconds_bucket{stage="purchase"}',
    'coursepay_end_to_end_seconds_bucket{stage="assignment"}',
)
WHOLE = {
    ("coursepay-gateway", "POST /api/v1/payments/confirm"),
    ("coursepay-gateway", "send payment.succeeded"),
    ("coursepay-purchase-worker", "process payment.succeeded"),
    ("coursepay-purchase-worker", "send purchase.created"),
    ("coursepay-assignment-worker", "process purchase.created"),
    ("coursepay-notifier", "process purchase.created"),
}


def is_whole(traces: Collector, trace_id: str, prefix: str) -> bool:
    return {(service, name.replace(prefix, "")) for service, name in traces.traces[trace_id]} >= WHOLE


@pytest.mark.timeout(300)
async def test_exemplars_of_every_histogram_name_whole_traces(
    stack: Stack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = plan_of(payments=40, rate=5, seed=7)
    async with collector() as traces:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", traces.url)
        monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "500")

        async def look(system: System) -> None:
            async with prometheus_beside(system, tmp_path / "prometheus") as prometheus:

                async def all_lead_somewhere() -> bool:
                    for histogram in HISTOGRAMS:
                        named = [labels["trace_id"] for labels in await prometheus.exemplars(histogram)]
                        whole = [one for one in named if is_whole(traces, one, system.settings.kafka_topic_prefix)]
                        assert whole, f"{histogram}: {len(named)} exemplars, none leads to a whole trace"
                    return True

                await eventually(all_lead_somewhere, within_s=120, every_s=1)

        assert_balanced(await shown_on(stack, tmp_path, plan, meanwhile=look), plan)
