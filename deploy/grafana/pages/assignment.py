"""Trainers found, and purchases that wait for one."""

from deploy.grafana.panels import Page, Panel
from deploy.grafana.shared import DRIFT, LOAD_DRIFT, OUTCOMES, UNALLOCATED, quantile

PAGE = Page(
    uid="coursepay-assignment",
    title="coursepay assignment",
    description="Who gets a trainer, who waits for one, and for how long.",
    rows=[
        (
            "Decisions",
            [
                OUTCOMES["assignment"],
                Panel(
                    title="Success where a trainer existed",
                    question="Do the promised 95% get one at once, of those who could?",
                    unit="percentunit",
                    queries=[
                        (
                            (
                                'sum(increase(coursepay_assignments_total{outcome="assigned"}[1h]))'
                                ' / sum(increase(coursepay_assignments_total{outcome=~"assigned|missed"}[1h]))'
                            ),
                            "assigned",
                        )
                    ],
                    floor=0.95,
                    alert="CoursepayAssignmentSuccessLow",
                ),
                Panel(
                    title="Purchases for which nobody exists",
                    question="What should the next trainers be able to do? By the filter that left nobody, an hour.",
                    unit="short",
                    kind="stack",
                    queries=[
                        ("sum by (filter) (increase(coursepay_infeasible_assignments_total[1h]))", "{{filter}}"),
                    ],
                ),
                Panel(
                    title="Purchases that find no trainer",
                    question="Is it more than one in twenty of the last hour's?",
                    unit="percentunit",
                    queries=[
                        (
                            (
                                'sum(increase(coursepay_stage_results_total{stage="assignment",outcome="pending"}[1h]))'
                                ' / sum(increase(coursepay_stage_results_total{stage="assignment"}[1h]))'
                            ),
                            "pending",
                        )
                    ],
                    limit=0.05,
                    alert="CoursepayAssignmentsPending",
                ),
                Panel(
                    title="Deciding, 95th percentile",
                    question="How long does the choice of a trainer take?",
                    unit="s",
                    queries=[
                        (
                            quantile(0.95, "coursepay_stage_duration_seconds", matchers='{stage="assignment"}'),
                            "p95",
                        )
                    ],
                ),
            ],
        ),
        (
            "Who waits",
            [
                Panel(
                    title="Purchases that wait for a person",
                    question="How many are there to decide by hand?",
                    unit="short",
                    queries=[("max(coursepay_pending_allocations)", "pending")],
                ),
                Panel(
                    title="The longest wait of them",
                    question="Has somebody waited for more than a day?",
                    unit="s",
                    queries=[("max(coursepay_pending_allocations_oldest_age_seconds)", "oldest")],
                    limit=86400,
                    alert="CoursepayPendingTooLong",
                ),
                Panel(
                    title="Paid and without a date",
                    question="How many sessions found no date yet, and how many purchases ended with such sessions?",
                    unit="short",
                    queries=[
                        ("max(coursepay_shortfall_sessions)", "sessions without a date"),
                        ("max(coursepay_expired_unserved_purchases)", "purchases that ended"),
                    ],
                    alert="CoursepayPaidAndNotTaught",
                ),
                UNALLOCATED,
                DRIFT,
                LOAD_DRIFT,
            ],
        ),
    ],
)
