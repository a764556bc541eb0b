"""The metric catalogue: one line per instrument, with the question that it answers. instruments.py makes them."""

from services.common.instruments import Instruments
from services.common.topics import WORKERS, Topics

STAGES = ("purchase", "assignment", "notification")
STAGE_OF_WORKER = dict(zip(WORKERS, STAGES, strict=True))
OUTCOMES = ("ok", "duplicate", "pending", "retried", "dead")
CONFIRM_OUTCOMES = ("succeeded", "replayed", "pending", "refused", "unavailable")
REPLAY_RESULTS = ("replayed", "skipped_done", "parked", "failed")
PAUSE_REASONS = ("dependency", "flood", "backpressure")
POOL_STATES = ("idle", "used")
# assigned; missed: nobody was free, but one move of an allocation would free somebody; infeasible: not even that.
ASSIGNMENT_OUTCOMES = ("assigned", "missed", "infeasible")
FILTERS = ("specialty", "gender", "slot", "capacity", "radius", "student-clash", "expiry", "leave")
# Of the operations service, each with a round now and then.
LOOPS = ("sampler", "replay-counts", "dead-letter-index", "forgotten", "drift", "releases")
DEPENDENCIES = ("kafka", "course_service", "push_service", "provider")

# An edge on each objective: 2 s for a confirmation, 50 ms for retry lateness, 100 ms for the outbox.
FAST_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0)
LATENESS_S = (0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 30.0)
END_TO_END_S = (0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 30.0, 60.0, 300.0)

OPERATIONS = frozenset({"operations"})
GATEWAY = frozenset({"gateway"})


class Metrics(Instruments):
    """The instruments of one process. `service` is its name in `coursepay run`, e.g. `purchase-worker`."""

    def __init__(self, service: str, topics: Topics) -> None:
        super().__init__(service)
        workers, tiers = tuple(WORKERS), tuple(topics.delays_s)
        workers_here = frozenset(WORKERS)
        own = (service,) if service in WORKERS else ()
        histogram, counter, gauge, figure = self.histogram, self.counter, self.gauge, self.figure

        self.confirmation_duration = histogram(
            "coursepay_confirmation_duration_seconds",
            "How long does a confirmation take?",
            FAST_S,
            outcome=CONFIRM_OUTCOMES,
        )
        self.stage_results = counter(
            "coursepay_stage_results_total",
            "How often does a stage succeed, repeat, wait, retry or give up?",
            stage=STAGES,
            outcome=OUTCOMES,
        )
        self.stage_duration = histogram(
            "coursepay_stage_duration_seconds", "How long does handling take in a stage?", FAST_S, stage=STAGES
        )
        self.end_to_end = histogram(
            "coursepay_end_to_end_seconds",
            "How long from the payment until a stage is done?",
            END_TO_END_S,
            stage=STAGES,
            retried=("true", "false"),
        )
        self.retry_backlog = figure(
            "coursepay_retry_backlog_messages",
            "How many records wait in a retry tier, measured on the cluster?",
            OPERATIONS,
            worker=workers,
            tier=tiers,
        )
        self.retry_lateness = histogram(
            "coursepay_retry_lateness_seconds",
            "How long after its due time is a retry handled?",
            LATENESS_S,
            worker=own,
            tier=tiers,
        )
        self.retry_overdue = gauge(
            "coursepay_retry_overdue_seconds",
            "How long is the oldest parked record overdue?",
            workers_here,
            worker=own,
            tier=tiers,
        )
        self.consumer_lag = figure(
            "coursepay_consumer_lag_messages",
            "How far is a group behind on a topic, measured on the cluster?",
            OPERATIONS,
            topic=(),
            group=(),
        )
        self.dlq_unresolved = figure(
            "coursepay_dlq_unresolved_messages", "How many dead letters still matter?", OPERATIONS, worker=workers
        )
        self.dlq_causes = figure(
            "coursepay_dlq_unresolved_causes", "What killed them?", OPERATIONS, worker=(), error_class=()
        )
        self.dlq_made_anew = figure(
            "coursepay_dlq_topic_made_anew",
            "Is the dead-letter topic another one than was indexed (1)?",
            OPERATIONS,
            worker=workers,
        )
        self.dlq_replayed = counter(
            "coursepay_dlq_replayed_total",
            "What became of replayed dead letters?",
            worker=workers,
            result=REPLAY_RESULTS,
        )
        self.outbox_pending = figure(
            "coursepay_outbox_pending_rows", "How many committed events are not in Kafka yet?", OPERATIONS
        )
        self.outbox_oldest = figure(
            "coursepay_outbox_oldest_pending_age_seconds",
            "How old is the oldest event that is not in Kafka yet?",
            OPERATIONS,
        )
        self.outbox_published = counter("coursepay_outbox_published_total", "How many outbox rows were published?")
        self.outbox_delay = histogram(
            "coursepay_outbox_delay_seconds", "How long from the commit until Kafka has acknowledged the event?", FAST_S
        )
        self.payments_in_review = figure(
            "coursepay_payments_in_review", "How many payments wait for a person's decision?", OPERATIONS
        )
        self.payment_tasks_given_up = figure(
            "coursepay_payment_tasks_given_up", "How many refunds and verifications were given up?", OPERATIONS
        )
        self.captures_without_order = figure(
            "coursepay_captures_without_order", "How many payments took money for no order of ours?", OPERATIONS
        )
        self.pending_allocations = figure(
            "coursepay_pending_allocations", "How many purchases wait for a person to find a trainer?", OPERATIONS
        )
        self.pending_oldest = figure(
            "coursepay_pending_allocations_oldest_age_seconds", "How long does the oldest of them wait?", OPERATIONS
        )
        self.shortfall_sessions = figure(
            "coursepay_shortfall_sessions", "How many paid sessions found no date yet?", OPERATIONS
        )
        self.expired_unserved = figure(
            "coursepay_expired_unserved_purchases",
            "How many ended within a month with paid sessions that never had a date?",
            OPERATIONS,
        )
        self.unallocated_oldest = figure(
            "coursepay_unallocated_oldest_age_seconds", "How old is the oldest purchase without a decision?", OPERATIONS
        )
        self.progress_drift = figure(
            "coursepay_progress_drift_rows", "How many progress rows differ from a recount?", OPERATIONS
        )
        self.load_drift = figure(
            "coursepay_load_drift_trainers", "How many trainers have a load that differs from a recount?", OPERATIONS
        )
        self.assignments = counter(
            "coursepay_assignments_total",
            "How many purchases for which a trainer existed got one at once? Infeasible ones apart.",
            outcome=ASSIGNMENT_OUTCOMES,
        )
        self.infeasible_assignments = counter(
            "coursepay_infeasible_assignments_total",
            "For what is there nobody, not even by a swap?",
            filter=FILTERS,
        )
        self.worker_paused = gauge(
            "coursepay_worker_paused",
            "Is a worker holding still, and why?",
            workers_here,
            worker=own,
            reason=PAUSE_REASONS,
        )
        self.handoff_failures = counter(
            "coursepay_handoff_failures_total",
            "How often could a record not be handed to a tier or the dead letters?",
            worker=own,
        )
        self.last_poll = gauge(
            "coursepay_poll_loop_last_poll_timestamp_seconds",
            "When did the consumer last poll?",
            workers_here,
            worker=own,
        )
        self.assigned_partitions = gauge(
            "coursepay_assigned_partitions", "How many partitions does this process own?", workers_here, worker=own
        )
        self.parked_records = gauge(
            "coursepay_parked_records", "How many records wait in memory for their due time?", workers_here, worker=own
        )
        self.circuit_state = gauge(
            "coursepay_circuit_state",
            "Is a dependency cut off? 0 closed, 1 half open, 2 open.",
            None,
            dependency=DEPENDENCIES,
        )
        self.rate_limited = counter("coursepay_rate_limited_total", "How many requests were refused by a rate limit?")
        self.sweep_age = gauge(
            "coursepay_provider_sweep_age_seconds",
            "How long ago was all that a provider knows compared with the books?",
            GATEWAY,
            provider=(),
        )
        self.bad_webhooks = counter(
            "coursepay_bad_webhook_signatures_total", "How many webhooks came that no secret had signed?", provider=()
        )
        self.secret_used = counter(
            "coursepay_secret_used_total", "Is an old signing secret still in use?", provider=(), position=()
        )
        self.db_pool_connections = gauge(
            "coursepay_db_pool_connections", "How busy is the connection pool?", None, state=POOL_STATES
        )
        self.sampler_duration = figure(
            "coursepay_sampler_duration_seconds", "How long did the last look at the cluster take?", OPERATIONS
        )
        self.sampler_errors = counter(
            "coursepay_sampler_errors_total", "How often did a look at the cluster or the database fail?"
        )
        self.sampler_last_success = gauge(
            "coursepay_sampler_last_success_timestamp_seconds", "How fresh are the sampled figures?", OPERATIONS
        )
        self.round_last_success = gauge(
            "coursepay_round_last_success_timestamp_seconds",
            "When did each loop of operations last do what it is for? 0: not since its process started.",
            OPERATIONS,
            loop=LOOPS,
        )
