"""Rate, errors and duration of the three stages."""

from deploy.grafana.panels import Page, Panel
from deploy.grafana.shared import OUTCOMES, failure_ratio, quantile

PAGE = Page(
    uid="coursepay-stages",
    title="coursepay stages",
    description="Rate, errors and duration of each stage, and how far it is behind.",
    rows=[
        ("Rate", list(OUTCOMES.values())),
        (
            "Errors and duration",
            [
                Panel(
                    title="Attempts that fail",
                    question="Which stage fails, and how often?",
                    unit="percentunit",
                    queries=[(failure_ratio(stage), stage) for stage in OUTCOMES],
                ),
                Panel(
                    title="Handling, 95th percentile",
                    question="How long does a batch or a record take in a stage?",
                    unit="s",
                    queries=[(quantile(0.95, "coursepay_stage_duration_seconds", "stage"), "{{stage}}")],
                ),
            ],
        ),
        (
            "End to end",
            [
                Panel(
                    title="From payment to trainer",
                    question="How are the waits of students spread?",
                    unit="s",
                    kind="heat",
                    queries=[
                        (
                            (
                                "sum by (le)"
                                ' (increase(coursepay_end_to_end_seconds_bucket{stage="assignment"}[$__rate_interval]))'
                            ),
                            "{{le}}",
                        )
                    ],
                ),
                Panel(
                    title="What a retry costs a student",
                    question="How much longer is it for those whose first attempt failed, for nine in ten?",
                    unit="s",
                    queries=[
                        (
                            quantile(0.9, "coursepay_end_to_end_seconds", "stage", "retried"),
                            "{{stage}} retried={{retried}}",
                        )
                    ],
                ),
            ],
        ),
        (
            "Behind",
            [
                Panel(
                    title="Records that a group has not finished",
                    question="Does a worker keep up? Measured on the cluster, so that it is right for a dead one too.",
                    unit="short",
                    queries=[("max by (topic, group) (coursepay_consumer_lag_messages)", "{{group}} of {{topic}}")],
                    limit=1000,
                    alert="CoursepayConsumerBehind",
                ),
            ],
        ),
    ],
)
