"""Retries and dead letters: never too many, never early, poison untouched, nothing left behind."""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterator

from services.sandbox.ledger.evidence import Evidence, Hop, Origin
from services.sandbox.ledger.violations import Check, Violation

RETRIES_MAX = 3
# Header and clock both have whole milliseconds.
_ROUNDING_MS = 1


def attempts_are_bounded(evidence: Evidence) -> Iterator[Violation]:
    for hop in (*evidence.kafka.hops, *evidence.kafka.dead_letters):
        if hop.attempt > RETRIES_MAX:
            what = f"{hop.worker} used {hop.attempt} retries"
            yield Violation(check=Check.DUPLICATED, order_id=hop.order_id, what=what)


def retries_are_never_early(evidence: Evidence) -> Iterator[Violation]:
    for hop, late_ms in failed_again(evidence):
        if late_ms < -_ROUNDING_MS:
            what = f"{hop.worker} tried {-late_ms} ms before the {hop.tier} tier was due"
            yield Violation(check=Check.EARLY, order_id=hop.order_id, what=what)


def poison_is_kept_as_it_came(evidence: Evidence) -> Iterator[Violation]:
    """Each record that is no event is among the dead letters, byte for byte."""
    dead = {hop.origin: hop for hop in evidence.kafka.dead_letters}
    for poison in evidence.kafka.poison:
        where = "{}/{} at {}".format(*poison.origin)
        letter = dead.get(poison.origin)
        if letter is None:
            yield Violation(check=Check.LOST, order_id=None, what=f"poison on {where} is no dead letter")
        elif letter.value != poison.value or letter.error_kind != "poison" or letter.attempt != 0:
            yield Violation(check=Check.DIFFERENT, order_id=None, what=f"poison on {where} was changed or retried")


def groups_have_finished(evidence: Evidence) -> Iterator[Violation]:
    for group, lag in evidence.kafka.lag.items():
        if lag:
            yield Violation(check=Check.UNFINISHED, order_id=None, what=f"{group} is {lag} records behind")


def failed_again(evidence: Evidence) -> Iterator[tuple[Hop, int]]:
    """(record on a tier, milliseconds from its due time until its retry failed), for the retries that failed.

    A record that was delivered twice has two chains of retries that look alike, and one whose process died before its
    offset was committed fails again without waiting again. So a failure belongs to the last of them that was due by
    then; one that is before all of them was early.
    """
    waited: defaultdict[tuple[str, Origin, int], list[Hop]] = defaultdict(list)
    for hop in evidence.kafka.hops:
        waited[hop.worker, hop.origin, hop.attempt].append(hop)
    failed: defaultdict[tuple[str, Origin, int], list[int]] = defaultdict(list)
    for hop in evidence.kafka.hops:
        if hop.failed_ms is not None:
            failed[hop.worker, hop.origin, hop.attempt - 1].append(hop.failed_ms)
    for hop in evidence.kafka.dead_letters:
        if hop.failed_ms is not None:
            # It carries the number of the retries used: its last failure was that of this very attempt.
            failed[hop.worker, hop.origin, hop.attempt].append(hop.failed_ms)
    for key, hops in waited.items():
        hops.sort(key=_due_ms)
        for failed_ms in failed[key]:
            due = bisect_right(hops, failed_ms + _ROUNDING_MS, key=_due_ms)
            hop = hops[max(0, due - 1)]
            yield hop, failed_ms - _due_ms(hop)


def _due_ms(hop: Hop) -> int:
    return hop.due_ms or 0
