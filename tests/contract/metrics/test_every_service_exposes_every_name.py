from typing import Any

import pytest
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from services.common.metrics import Metrics
from services.common.settings import Settings
from services.common.topics import WORKERS, Topics
from services.operations.pages import catalogue

SERVICES = ("gateway", *WORKERS, "operations")
# Of the contract: other programs read these.
CONTRACT = {
    "coursepay_confirmation_duration_seconds": {"outcome"},
    "coursepay_stage_results_total": {"stage", "outcome"},
    "coursepay_stage_duration_seconds": {"stage"},
    "coursepay_end_to_end_seconds": {"stage", "retried"},
    "coursepay_retry_backlog_messages": {"worker", "tier"},
    "coursepay_retry_lateness_seconds": {"worker", "tier"},
    "coursepay_retry_overdue_seconds": {"worker", "tier"},
    "coursepay_consumer_lag_messages": {"topic", "group"},
    "coursepay_dlq_unresolved_messages": {"worker"},
    "coursepay_dlq_replayed_total": {"worker", "result"},
    "coursepay_outbox_pending_rows": set(),
    "coursepay_outbox_oldest_pending_age_seconds": set(),
    "coursepay_pending_allocations": set(),
    "coursepay_worker_paused": {"worker", "reason"},
    "coursepay_handoff_failures_total": {"worker"},
    "coursepay_poll_loop_last_poll_timestamp_seconds": {"worker"},
    "coursepay_circuit_state": {"dependency"},
    "coursepay_rate_limited_total": set(),
    "coursepay_db_pool_connections": {"state"},
}


@pytest.mark.parametrize("service", SERVICES)
def test_no_service_lacks_a_name(service: str) -> None:
    families = {family.name for family in _exposed(service)}

    assert {name.removesuffix("_total") for name in catalogue()} <= families


@pytest.mark.parametrize(("name", "labels"), CONTRACT.items())
def test_the_contract_s_metrics_have_its_labels(name: str, labels: set[str]) -> None:
    assert set(catalogue()[name].labels) == labels


def test_confirmations_are_counted_on_both_sides_of_two_seconds() -> None:
    assert 2.0 in catalogue()["coursepay_confirmation_duration_seconds"].buckets


def test_the_first_failure_is_an_increase_from_zero() -> None:
    samples = {
        (sample.labels["stage"], sample.labels["outcome"]): sample.value
        for family in _exposed("purchase-worker")
        for sample in family.samples
        if sample.name == "coursepay_stage_results_total"
    }

    assert len(samples) == 15
    assert set(samples.values()) == {0.0}


def test_a_backlog_is_only_told_by_who_looked_at_the_cluster() -> None:
    def tells(service: str) -> bool:
        samples = (sample for family in _exposed(service) for sample in family.samples)
        return any(sample.name == "coursepay_retry_backlog_messages" for sample in samples)

    assert [service for service in SERVICES if tells(service)] == ["operations"]


def _exposed(service: str) -> list[Any]:
    metrics = Metrics(service, Topics.of(Settings()))
    return list(text_string_to_metric_families(generate_latest(metrics.registry).decode()))
