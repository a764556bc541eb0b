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
    "services/common/telemetry": "the allow-list of log fields",
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
    "services/operations/topic_reader": "reads a topic by assignment, never with a group",
    "services/operations/backlog": "backlog and lag, measured on the cluster",
}

# Who may import whom, beside their own package, services.common and services.engine.
IMPORTS_EVERYTHING = frozenset({"operations", "sandbox", "commands", "cli"})

# Module -> the tables and functions of sql/ that its SQL may name.
TABLES: Mapping[str, frozenset[str]] = {
    "services/engine/crashes": frozenset({"worker_crashes"}),
}
