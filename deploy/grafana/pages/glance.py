"""The first page to open: promises, budgets, and what is wrong right now."""

from deploy.grafana.panels import Page
from deploy.grafana.shared import (
    BACKLOG,
    CIRCUITS,
    CONFIRMATION_BUDGET,
    CONFIRMATION_P99,
    CONFIRMATIONS,
    DEAD,
    DRIFT,
    END_TO_END,
    FIGURES_AGE,
    OUTBOX_OLDEST,
    PAUSED,
    UNALLOCATED,
    budget,
    failures,
)

PAGE = Page(
    uid="coursepay-glance",
    title="coursepay at a glance",
    description="The four promises, what is left of their budgets, and what is wrong right now.",
    rows=[
        (
            "The four promises",
            [
                CONFIRMATION_P99,
                failures("purchase", "Purchases", 0.01, "CoursepayPurchaseFailures"),
                failures("assignment", "Assignments", 0.05, "CoursepayAssignmentFailures"),
                BACKLOG,
            ],
        ),
        (
            "What is left of them",
            [
                CONFIRMATION_BUDGET,
                budget("purchase", "purchases", 0.01),
                budget("assignment", "assignments", 0.05),
                FIGURES_AGE,
            ],
        ),
        ("What is wrong right now", [PAUSED, DEAD, OUTBOX_OLDEST, UNALLOCATED, CIRCUITS, DRIFT]),
        ("From payment to course", [CONFIRMATIONS, END_TO_END]),
    ],
)
