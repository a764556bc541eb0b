"""Panels that several dashboards show, and the queries that they are made of.

Counters appear only inside rate() or increase(); gauges of `operations` are the maximum over its processes, because two
samplers see the same queue.
"""

from deploy.grafana.panels import Panel

_FAILED = 'coursepay_stage_results_total{{stage="{stage}",outcome=~"retried|dead"}}'
_ALL = 'coursepay_stage_results_total{{stage="{stage}"}}'


def failure_ratio(stage: str) -> str:
    failed, every = _FAILED.format(stage=stage), _ALL.format(stage=stage)
    return f"sum(rate({failed}[$__rate_interval])) / sum(rate({every}[$__rate_interval]))"


def _budget_left(stage: str, allowed: float) -> str:
    failed, every = _FAILED.format(stage=stage), _ALL.format(stage=stage)
    return f"1 - sum(increase({failed}[$__range])) / sum(increase({every}[$__range])) / {allowed}"


def quantile(quantile: float, histogram: str, *by: str, matchers: str = "") -> str:
    labels = ", ".join(("le", *by))
    return f"histogram_quantile({quantile}, sum by ({labels}) (rate({histogram}_bucket{matchers}[$__rate_interval])))"


CONFIRMATION = "coursepay_confirmation_duration_seconds"
# The outcomes of those who have paid.
PAYERS = "succeeded|replayed|pending"
CONFIRMATION_P99 = Panel(
    title="Confirmation, 99th percentile",
    question="Do browsers get their answer within the promised 2 s?",
    unit="s",
    kind="stat",
    queries=[(quantile(0.99, CONFIRMATION), "p99")],
    limit=2,
    alert="CoursepayConfirmationSlow",
)
BACKLOG = Panel(
    title="Records that wait for a retry",
    question="Are there more than the promised 100, in all tiers together?",
    unit="short",
    kind="stat",
    queries=[("sum(max by (worker, tier) (coursepay_retry_backlog_messages))", "waiting")],
    limit=100,
    alert="CoursepayRetryBacklog",
)
DEAD = Panel(
    title="Dead letters that still matter",
    question="How many records of each worker wait for a decision of ours?",
    unit="short",
    queries=[("max by (worker) (coursepay_dlq_unresolved_messages)", "{{worker}}")],
    alert="CoursepayNewDeadLetters",
)
PAUSED = Panel(
    title="Workers that hold still",
    question="Which worker holds still, and why? 1: it does. Back-pressure is a worker doing its job.",
    unit="short",
    queries=[("max by (worker, reason) (coursepay_worker_paused)", "{{worker}} {{reason}}")],
    alert="CoursepayWorkerPaused",
)
OUTBOX_OLDEST = Panel(
    title="Oldest event that is not in Kafka",
    question="Does what is confirmed leave the database?",
    unit="s",
    queries=[("max(coursepay_outbox_oldest_pending_age_seconds)", "oldest")],
    limit=60,
    alert="CoursepayOutboxStuck",
)
UNALLOCATED = Panel(
    title="Oldest purchase without a decision",
    question="Has anybody paid and got neither a trainer nor a place in the queue? Looked at every ten minutes.",
    unit="s",
    queries=[("max(coursepay_unallocated_oldest_age_seconds)", "oldest")],
    limit=900,
    alert="CoursepayPurchaseForgotten",
)
DRIFT = Panel(
    title="Progress rows that differ from a recount",
    question="Did something write past the triggers? Looked at every ten minutes.",
    unit="short",
    queries=[("max(coursepay_progress_drift_rows)", "rows")],
    limit=1,
    alert="CoursepayProgressDrift",
)
LOAD_DRIFT = Panel(
    title="Trainers whose load differs from a recount",
    question="Is anybody refused, or given too much, by a wrong count? Looked at every ten minutes.",
    unit="short",
    queries=[("max(coursepay_load_drift_trainers)", "trainers")],
    limit=1,
    alert="CoursepayLoadDrift",
)
END_TO_END = Panel(
    title="From payment to done",
    question="How long does a student wait after paying, for nine in ten?",
    unit="s",
    queries=[(quantile(0.9, "coursepay_end_to_end_seconds", "stage"), "{{stage}}")],
)
CIRCUITS = Panel(
    title="Dependencies that are cut off",
    question="Which outside service fails so often that it is not asked? 0 closed, 1 half open, 2 open.",
    unit="short",
    queries=[("max by (dependency) (coursepay_circuit_state)", "{{dependency}}")],
    limit=2,
    alert="CoursepayCircuitOpen",
)
_STAGE_RATE = "sum by (outcome) (rate({series}[$__rate_interval]))"


def failures(stage: str, noun: str, limit: float, alert: str) -> Panel:
    return Panel(
        title=f"{noun} that fail",
        question=f"Is it more than the promised {limit:.0%} of the attempts?",
        unit="percentunit",
        kind="stat",
        queries=[(failure_ratio(stage), "failed")],
        limit=limit,
        alert=alert,
    )


def budget(stage: str, noun: str, allowed: float) -> Panel:
    return Panel(
        title=f"Budget left, {noun}",
        question=f"How much of the {allowed:.0%} that may fail is left in the time shown? Below 0 it is broken.",
        unit="percentunit",
        kind="stat",
        queries=[(_budget_left(stage, allowed), "left")],
        floor=0,
    )


CONFIRMATION_BUDGET = Panel(
    title="Budget left, confirmations",
    question="How much of the 1% that may take longer than 2 s or get a 503 is left in the time shown?",
    unit="percentunit",
    kind="stat",
    queries=[
        (
            (
                f'1 - (1 - sum(increase({CONFIRMATION}_bucket{{le="2.0",outcome=~"{PAYERS}"}}[$__range]))'
                f' / sum(increase({CONFIRMATION}_count{{outcome!="refused"}}[$__range]))) / 0.01'
            ),
            "left",
        )
    ],
    floor=0,
)
FIGURES_AGE = Panel(
    title="Age of the sampled figures",
    question="Are backlog, outbox and dead letters as fresh as they look?",
    unit="s",
    kind="stat",
    queries=[("time() - max(coursepay_sampler_last_success_timestamp_seconds)", "age")],
    limit=120,
    alert="CoursepaySamplerStale",
)
LOOPS = Panel(
    title="Time since each loop of operations worked",
    question="Does all that operations looks at and sweeps still get done? The recounts are due every ten minutes.",
    unit="s",
    queries=[("time() - max by (loop) (coursepay_round_last_success_timestamp_seconds > 0)", "{{loop}}")],
    limit=1500,
    alert="CoursepayForgottenUnwatched",
)
CONFIRMATIONS = Panel(
    title="Confirmations per second",
    question="What do callbacks and browsers hear?",
    unit="reqps",
    kind="stack",
    queries=[(f"sum by (outcome) (rate({CONFIRMATION}_count[$__rate_interval]))", "{{outcome}}")],
    alert="CoursepayConfirmationsUnavailable",
)
OUTCOMES = {
    stage: Panel(
        title=f"{stage.capitalize()}: attempts per second",
        question="How much is done, and how does it end?",
        unit="ops",
        kind="stack",
        queries=[(_STAGE_RATE.format(series=_ALL.format(stage=stage)), "{{outcome}}")],
    )
    for stage in ("purchase", "assignment", "notification")
}
