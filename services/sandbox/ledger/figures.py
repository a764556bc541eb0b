"""What a person wants to count, from the same evidence as the checks."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

from services.sandbox.ledger.evidence import Evidence
from services.sandbox.ledger.lateness import Lateness, lateness_by_tier
from services.sandbox.ledger.violations import Check, Violation


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """The fields of `coursepay demo --json`.

    confirmed = purchases + dead_lettered, which counts confirmed payments whose purchase is a dead letter. `retried`:
    records that waited in a tier at least once. `notifications`: pushed ones. Durations in milliseconds.
    """

    payments: int
    confirmed: int
    purchases: int
    allocations_approved: int
    allocations_pending: int
    sessions: int
    notifications: int
    retried: int
    dead_lettered: int
    poison: int
    forged: int
    forged_refused: int
    lost: int
    duplicated: int
    double_booked: int
    different: int
    early: int
    unfinished: int
    confirm_p50_ms: float
    confirm_p99_ms: float

    def to_json(self) -> dict[str, int | float]:
        return asdict(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ledger:
    """`dead_letters`: (worker, kind, class) -> records; `pending`: reason -> allocations; `answers`: HTTP status of an
    honest confirmation -> how often.
    """

    counts: Counts
    retries: Sequence[Lateness]
    dead_letters: Mapping[tuple[str, str, str], int]
    pending: Mapping[str, int]
    answers: Mapping[int, int]
    violations: Sequence[Violation]

    @property
    def balanced(self) -> bool:
        counts = self.counts
        return not self.violations and counts.confirmed == counts.purchases + counts.dead_lettered


def make_ledger(evidence: Evidence, violations: Sequence[Violation]) -> Ledger:
    return Ledger(
        counts=_count(evidence, violations),
        retries=lateness_by_tier(evidence),
        dead_letters=_dead_letters(evidence),
        pending=Counter(row.reason or "?" for row in evidence.database.allocations if row.status == "pending"),
        answers=Counter(answer.status for answer in evidence.answers if not answer.forged),
        violations=violations,
    )


def percentile(values: Sequence[float], share: float) -> float:
    """The nearest-rank percentile; 0 of nothing."""
    if not values:
        return 0.0
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def _count(evidence: Evidence, violations: Sequence[Violation]) -> Counts:
    database, kafka = evidence.database, evidence.kafka
    confirmed = {row.order_id for row in database.payments if row.confirmed_at is not None}
    bought = {row.order_id for row in database.purchases}
    dead = {hop.order_id for hop in kafka.dead_letters if hop.worker == "purchase-worker"}
    status = Counter(row.status for row in database.allocations)
    forged = [answer for answer in evidence.answers if answer.forged]
    latencies = [answer.latency_ms for answer in evidence.answers if answer.status == 200 and not answer.forged]
    broken = {check: _orders(violations, check) for check in Check}
    return Counts(
        payments=len(database.payments),
        confirmed=len(confirmed),
        purchases=len(database.purchases),
        allocations_approved=status["approved"],
        allocations_pending=status["pending"],
        sessions=sum(row.sessions for row in database.allocations),
        notifications=sum(row.status == "sent" for row in database.notifications),
        retried=len({(hop.worker, hop.origin) for hop in kafka.hops}),
        dead_lettered=len((confirmed & dead) - bought),
        poison=len({hop.origin for hop in kafka.dead_letters if hop.error_kind == "poison"}),
        forged=len(forged),
        forged_refused=sum(answer.status == 401 for answer in forged),
        lost=broken[Check.LOST],
        duplicated=broken[Check.DUPLICATED],
        double_booked=broken[Check.DOUBLE_BOOKED],
        different=broken[Check.DIFFERENT],
        early=broken[Check.EARLY],
        unfinished=broken[Check.UNFINISHED],
        confirm_p50_ms=round(percentile(latencies, 0.50), 1),
        confirm_p99_ms=round(percentile(latencies, 0.99), 1),
    )


def _orders(violations: Sequence[Violation], check: Check) -> int:
    """An order that breaks several rules of one check counts once; what names no order counts by itself."""
    found = [violation for violation in violations if violation.check is check]
    named = {violation.order_id for violation in found if violation.order_id is not None}
    return len(named) + sum(violation.order_id is None for violation in found)


def _dead_letters(evidence: Evidence) -> Mapping[tuple[str, str, str], int]:
    """A record that was dead-lettered twice after a crash counts once."""
    letters = {(hop.worker, hop.origin): hop for hop in evidence.kafka.dead_letters}
    return Counter((hop.worker, hop.error_kind or "?", hop.error_class or "?") for hop in letters.values())
