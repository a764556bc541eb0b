"""All rules over all evidence."""

from collections.abc import Callable, Iterator

from services.sandbox.ledger import courses, promises, retries
from services.sandbox.ledger.evidence import Evidence
from services.sandbox.ledger.violations import Violation

Rule = Callable[[Evidence], Iterator[Violation]]
RULES: tuple[Rule, ...] = (
    promises.answers_are_kept,
    promises.payments_have_one_event,
    promises.outbox_is_in_kafka,
    promises.equal_ids_are_equal_events,
    courses.events_become_purchases,
    courses.purchases_have_one_allocation,
    courses.sessions_are_as_bought,
    courses.nobody_is_double_booked,
    courses.rows_have_their_events,
    courses.events_are_notified_once,
    retries.attempts_are_bounded,
    retries.retries_are_never_early,
    retries.poison_is_kept_as_it_came,
    retries.groups_have_finished,
)


def check(evidence: Evidence) -> list[Violation]:
    """Empty when the books balance."""
    return [violation for rule in RULES for violation in rule(evidence)]
