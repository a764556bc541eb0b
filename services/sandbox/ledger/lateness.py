"""How late were retries handled? Measured per record, from the due time in its header to what came of it."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from services.common.events import AllocationPending, Event, PurchaseAdjusted, PurchaseCreated, TrainerAssigned
from services.sandbox.ledger.evidence import Evidence, Hop
from services.sandbox.ledger.retries import failed_again

_EMITTED: Mapping[str, tuple[type[Event], ...]] = {
    "purchase-worker": (PurchaseCreated, PurchaseAdjusted),
    "assignment-worker": (TrainerAssigned, AllocationPending),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Lateness:
    """Of one worker's tier. `records`: all that waited there; the milliseconds are of those whose end was seen."""

    worker: str
    tier: str
    records: int
    late_ms: Sequence[int]


def lateness_by_tier(evidence: Evidence) -> list[Lateness]:
    """In the order of workers and tiers as first met."""
    records: defaultdict[tuple[str, str], int] = defaultdict(int)
    late: defaultdict[tuple[str, str], list[int]] = defaultdict(list)
    for hop in sorted(evidence.kafka.hops, key=lambda hop: (hop.worker, hop.attempt)):
        records[hop.worker, hop.tier or ""] += 1
    for hop, late_ms in (*failed_again(evidence), *_succeeded(evidence)):
        late[hop.worker, hop.tier or ""].append(late_ms)
    return [
        Lateness(worker=worker, tier=tier, records=count, late_ms=sorted(late[worker, tier]))
        for (worker, tier), count in records.items()
    ]


def _succeeded(evidence: Evidence) -> Iterator[tuple[Hop, int]]:
    """For the last retry of a chain: the first thing that its worker did for this order after the last failure."""
    emitted: defaultdict[tuple[str, str], list[int]] = defaultdict(list)
    for record in evidence.kafka.events:
        for worker, types in _EMITTED.items():
            if isinstance(record.event, types):
                emitted[worker, record.event.order_id].append(record.timestamp_ms)
    notified = {row.event_id: row.done_ms for row in evidence.database.notifications if row.status == "sent"}
    for hop in _last_hops(evidence):
        if hop.due_ms is None or hop.failed_ms is None:
            continue
        ends = emitted[hop.worker, hop.order_id or ""]
        if hop.worker == "notifier":
            ends = [notified[hop.event_id]] if hop.event_id in notified else []
        end = min((end for end in ends if end > hop.failed_ms), default=None)
        if end is not None:
            yield hop, end - hop.due_ms


def _last_hops(evidence: Evidence) -> list[Hop]:
    """Of each chain of retries that did not end among the dead letters."""
    dead = {(hop.worker, hop.origin) for hop in evidence.kafka.dead_letters}
    last: dict[object, Hop] = {}
    for hop in evidence.kafka.hops:
        chain = (hop.worker, hop.origin)
        if chain not in dead and (chain not in last or hop.attempt > last[chain].attempt):
            last[chain] = hop
    return list(last.values())
