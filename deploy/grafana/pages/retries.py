"""The ladder, its punctuality, and its end."""

from deploy.grafana.panels import Page, Panel
from deploy.grafana.shared import DEAD, quantile

PAGE = Page(
    uid="coursepay-retries",
    title="coursepay retries and dead letters",
    description="The ladder by tier, whether it is on time, what ends at its bottom and why.",
    rows=[
        (
            "The ladder",
            [
                Panel(
                    title="Waiting by tier",
                    question="Where on the ladder do records wait?",
                    unit="short",
                    kind="stack",
                    queries=[("max by (worker, tier) (coursepay_retry_backlog_messages)", "{{worker}} {{tier}}")],
                    alert="CoursepayRetryBacklog",
                ),
                Panel(
                    title="Failures that may heal",
                    question="How many attempts per second go to a tier?",
                    unit="ops",
                    queries=[
                        (
                            'sum by (stage) (rate(coursepay_stage_results_total{outcome="retried"}[$__rate_interval]))',
                            "{{stage}}",
                        )
                    ],
                ),
            ],
        ),
        (
            "On time?",
            [
                Panel(
                    title="Lateness, 99th percentile",
                    question="How long after its due time is a retry handled?",
                    unit="s",
                    queries=[
                        (quantile(0.99, "coursepay_retry_lateness_seconds", "worker", "tier"), "{{worker}} {{tier}}")
                    ],
                ),
                Panel(
                    title="Oldest overdue",
                    question="Is a parked record past its time and not handled?",
                    unit="s",
                    queries=[("max by (worker, tier) (coursepay_retry_overdue_seconds)", "{{worker}} {{tier}}")],
                    limit=30,
                    alert="CoursepayRetryOverdue",
                ),
                Panel(
                    title="Waiting in memory",
                    question="How many records do the workers hold until they are due?",
                    unit="short",
                    queries=[("sum by (worker) (coursepay_parked_records)", "{{worker}}")],
                ),
                Panel(
                    title="Records that could not be handed on",
                    question="Does Kafka refuse what a worker wants to put on a tier or the dead letters?",
                    unit="ops",
                    queries=[
                        ("sum by (worker) (rate(coursepay_handoff_failures_total[$__rate_interval]))", "{{worker}}")
                    ],
                    alert="CoursepayHandoffFailures",
                ),
            ],
        ),
        (
            "Dead letters",
            [
                DEAD,
                Panel(
                    title="What killed them",
                    question="Is it one cause or many?",
                    unit="short",
                    queries=[
                        (
                            "max by (worker, error_class) (coursepay_dlq_unresolved_causes)",
                            "{{worker}} {{error_class}}",
                        )
                    ],
                ),
                Panel(
                    title="Records given up",
                    question="How many per second, in which stage?",
                    unit="ops",
                    queries=[
                        (
                            'sum by (stage) (rate(coursepay_stage_results_total{outcome="dead"}[$__rate_interval]))',
                            "{{stage}}",
                        )
                    ],
                    alert="CoursepayNewDeadLetters",
                ),
                Panel(
                    title="Topics that are not what was indexed",
                    question="Was a dead-letter topic made anew? 1: its letters are not counted.",
                    unit="short",
                    queries=[("max by (worker) (coursepay_dlq_topic_made_anew)", "{{worker}}")],
                    alert="CoursepayDeadLetterTopicMadeAnew",
                ),
                Panel(
                    title="Replayed",
                    question="What became of the dead letters that were sent back?",
                    unit="short",
                    queries=[
                        (
                            "sum by (worker, result) (increase(coursepay_dlq_replayed_total[$__range]))",
                            "{{worker}} {{result}}",
                        )
                    ],
                ),
            ],
        ),
    ],
)
