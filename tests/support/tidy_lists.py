"""What tests/test_tidy.py allows by name. A new entry is a decision: it wants a reason that a reviewer believes."""

from collections.abc import Mapping

# services/common and services/engine know records, not the business. The key of every record is an order's id, so
# "order" is not on the list.
NOUNS = frozenset(
    {"allocation", "course", "enrollment", "notification", "payment", "purchase", "refund", "session", "student"}
    | {"trainer", "tutor", "tutoring"}
)
NOUNS_ALLOWED_IN: Mapping[str, str] = {
    "services/common/events": "the events are the one business noun",
    "services/common/codec": "builds the events",
    "services/common/validation": "what the events' values may be",
    "services/common/topics": "the routing table: which event, which worker",
    "services/common/metrics": "the catalogue names what it counts",
    "services/common/settings": "addresses and secrets of the services around",
    "services/common/telemetry/logs": "the allow-list of log fields",
    "services/common/limits": "limits of several services in one place",
}
# Words of PostgreSQL's and librdkafka's own.
NOT_NOUNS = frozenset(
    {"ClientSession", "idle_in_transaction_session_timeout", "session.timeout.ms", "group.consumer.session.timeout.ms"}
    | {"SESSION_TIMEOUT_S"}
)

KAFKA_MODULES: Mapping[str, str] = {
    "services/engine/producer": "the producer",
    "services/engine/consumer": "the poll thread",
    "services/common/topic_admin": "creates and compares topics",
    "services/operations/topic_client": "a consumer that joins no group",
    "services/operations/topic_reader": "reads a topic by assignment, never with a group",
    "services/operations/backlog": "backlog and lag, measured on the cluster",
}

SKIPS_ALLOWED_IN: Mapping[str, str] = {
    "tests/integration/sandbox/test_children_never_outlive_their_parent": "only Linux ties a process to its parent",
}

# Who may import whom, beside their own package, services.common and services.engine.
IMPORTS_EVERYTHING = frozenset({"operations", "sandbox", "commands", "cli"})

# Module -> the tables and functions of sql/ that its SQL may name.
TABLES: Mapping[str, frozenset[str]] = {
    "services/assignment_worker/allocations": frozenset(
        {"adjust_allocation", "assign_trainer", "depart_next", "make_up_shortfall"}
    ),
    "services/assignment_worker/departures": frozenset(
        {"departing", "finish_departure", "set_departure_aside", "trainer_departures"}
    ),
    "services/assignment_worker/pendings": frozenset({"pendings_to_retry", "set_pending_aside"}),
    "services/assignment_worker/shortfalls": frozenset({"set_pending_aside", "shortfalls_to_retry"}),
    "services/commands/keys": frozenset({"audit_log"}),
    "services/common/database": frozenset(),
    "services/common/outbox": frozenset({"add_to_outbox"}),
    "services/engine/crashes": frozenset({"worker_crashes"}),
    "services/gateway_api/admin/departures": frozenset(
        {"depart_trainer", "student_course_purchases", "trainer_departure_items", "trainer_departures"}
    ),
    "services/gateway_api/admin/pendings": frozenset({"student_course_purchases", "trainer_allocations"}),
    "services/gateway_api/admin/payments": frozenset({"orders", "payments"}),
    "services/gateway_api/admin/prices": frozenset({"course_prices", "courses"}),
    "services/gateway_api/admin/reviews": frozenset({"orders", "payment_facts", "payments"}),
    "services/gateway_api/admin/reschedule": frozenset({"reschedule_session"}),
    "services/gateway_api/admin/sessions": frozenset({"cancel_session", "complete_session", "tutoring_sessions"}),
    "services/gateway_api/admin/settlements": frozenset({"payments"}),
    "services/gateway_api/admin/trainers": frozenset({"depart_if_booked", "sessions_against", "upsert_trainer"}),
    "services/gateway_api/admin/assignments": frozenset(
        {"allocate_trainer", "approve_allocation", "assign_trainer", "move_allocation", "student_course_purchases"}
        | {"standing_allocation", "trainer_allocations"}
    ),
    "services/gateway_api/callers/audit": frozenset({"audit_log", "trainer_definition"}),
    "services/gateway_api/admin/given_up": frozenset({"orders", "payments", "refunds_given_up"}),
    "services/gateway_api/admin/holiday_calendar": frozenset({"holidays"}),
    "services/gateway_api/callers/idempotency": frozenset({"idempotency_keys"}),
    "services/gateway_api/callers/idempotency_sweep": frozenset({"idempotency_keys"}),
    "services/gateway_api/callers/machine_keys": frozenset({"api_keys"}),
    "services/gateway_api/students/orders": frozenset({"course_prices", "orders", "payments"}),
    "services/gateway_api/publishing/outbox": frozenset({"outbox"}),
    "services/gateway_api/students/payments": frozenset(
        {"orders", "payments", "student_course_purchases", "trainer_allocations"}
    ),
    "services/gateway_api/payments/reads": frozenset({"orders", "payment_facts", "payments"}),
    "services/gateway_api/payments/task_queue": frozenset({"payment_facts", "payment_tasks"}),
    "services/gateway_api/payments/writes": frozenset({"orders", "payment_facts", "payments"}),
    "services/gateway_api/students/learning": frozenset(
        {"orders", "payments", "student_course_progress", "student_course_purchases", "tutoring_sessions"}
    ),
    "services/gateway_api/payments/sweeps": frozenset({"payment_facts", "provider_sweeps"}),
    "services/gateway_api/payments/tasks": frozenset({"payment_facts", "payments"}),
    "services/notifier/notifications": frozenset({"notifications"}),
    "services/operations/database_roles": frozenset(),
    "services/operations/dead_letters": frozenset(
        {"dead_letter_topics", "dead_letters", "notifications", "student_course_purchases", "trainer_allocations"}
    ),
    "services/operations/decision_story": frozenset(
        {"student_course_purchases", "trainer_allocations", "tutoring_sessions"}
    ),
    "services/operations/migrations": frozenset({"courses"}),
    "services/operations/purchase_import": frozenset({"courses", "let_wait", "student_course_purchases"}),
    "services/operations/recount": frozenset(
        {"load_drift", "progress_drift", "student_course_purchases", "trainer_allocations", "tutoring_sessions"}
    ),
    "services/operations/repairs": frozenset(
        {"audit_log", "load_drift", "progress_drift", "rebuild_progress", "recount_load"}
    ),
    "services/operations/releases": frozenset({"expire_purchases", "sweep_allocations"}),
    "services/operations/replay/counting": frozenset({"replay_items", "replay_runs"}),
    "services/operations/replay/discarding": frozenset({"audit_log"}),
    "services/operations/replay/fates": frozenset({"dead_letters", "replay_items"}),
    "services/operations/replay/items": frozenset({"dead_letters", "replay_items", "replay_runs"}),
    "services/operations/replay/lock": frozenset(),
    "services/operations/replay/choosing/overview": frozenset({"dead_letters"}),
    "services/operations/replay/runs": frozenset({"audit_log", "replay_runs"}),
    "services/operations/replay/choosing/standing": frozenset({"dead_letters"}),
    "services/operations/payments_for_a_person": frozenset(
        {"orders", "payment_facts", "payment_tasks", "payments", "refunds_given_up"}
    ),
    "services/operations/stock": frozenset(
        {"audit_log", "dead_letters", "outbox", "sessions_missing", "student_course_purchases", "trainer_allocations"}
    ),
    "services/purchase_worker/adjustments": frozenset(
        {"purchase_adjustments", "sessions_used", "student_course_purchases"}
    ),
    "services/purchase_worker/purchases": frozenset({"student_course_purchases"}),
    "services/sandbox/demo/database": frozenset(),
    "services/sandbox/demo/sabotage": frozenset({"student_course_purchases"}),
    "services/sandbox/demo/stages": frozenset(
        {"notifications", "payments", "student_course_purchases", "trainer_allocations"}
    ),
    "services/sandbox/ledger/database_evidence": frozenset(
        {"notifications", "outbox", "payments", "student_course_purchases", "trainer_allocations", "tutoring_sessions"}
    ),
    "services/sandbox/seeding": frozenset(
        {"course_prices", "courses", "lock_several_trainers", "trainers", "upsert_trainers"}
    ),
}
