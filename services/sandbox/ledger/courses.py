"""From the event to the course: one purchase, one live allocation, the sessions that were bought, one notification."""

from collections import Counter
from collections.abc import Iterator
from uuid import UUID

from services.common.events import AllocationPending, Event, PaymentSucceeded, PurchaseCreated, TrainerAssigned
from services.sandbox.ledger.evidence import AllocationRow, Evidence, PurchaseRow
from services.sandbox.ledger.violations import Check, Violation

_NOTIFIED = (PurchaseCreated, TrainerAssigned, AllocationPending)


def events_become_purchases(evidence: Evidence) -> Iterator[Violation]:
    """Each PaymentSucceeded ends as one equal purchase, or as a dead letter; no purchase comes from nothing."""
    purchases = {row.order_id: row for row in evidence.database.purchases}
    dead = _dead_orders(evidence, "purchase-worker")
    paid: set[str] = set()
    for record in evidence.kafka.events:
        event = record.event
        if not isinstance(event, PaymentSucceeded) or event.order_id in paid:
            continue
        paid.add(event.order_id)
        purchase = purchases.get(event.order_id)
        if purchase is None and event.order_id not in dead:
            yield Violation(
                check=Check.LOST, order_id=event.order_id, what="paid, but neither bought nor a dead letter"
            )
        elif purchase is not None and not _same(purchase, event):
            yield Violation(
                check=Check.DIFFERENT, order_id=event.order_id, what="the purchase differs from its payment"
            )
    for row in evidence.database.purchases:
        if row.order_id not in paid and not row.order_id.startswith("legacy-"):
            yield Violation(check=Check.DUPLICATED, order_id=row.order_id, what="a purchase without a payment")
    for order_id, count in Counter(row.order_id for row in evidence.database.purchases).items():
        if count > 1:
            yield Violation(check=Check.DUPLICATED, order_id=order_id, what=f"{count} purchases")


def purchases_have_one_allocation(evidence: Evidence) -> Iterator[Violation]:
    """One live allocation for an active purchase or a dead letter of the assignment; none for a revoked one."""
    live = Counter(row.purchase_id for row in evidence.database.allocations if row.status != "cancelled")
    dead = _dead_orders(evidence, "assignment-worker")
    for purchase in evidence.database.purchases:
        count = live[purchase.purchase_id]
        if purchase.status == "active" and count == 0 and purchase.order_id not in dead:
            yield Violation(check=Check.LOST, order_id=purchase.order_id, what="bought, but has no allocation")
        elif count > (purchase.status != "revoked"):
            yield Violation(
                check=Check.DUPLICATED,
                order_id=purchase.order_id,
                what=f"{count} live allocations of a purchase that is {purchase.status}",
            )


def sessions_are_as_bought(evidence: Evidence) -> Iterator[Violation]:
    """An approved allocation has exactly the sessions bought, a pending one has none."""
    purchases = {row.purchase_id: row for row in evidence.database.purchases}
    for allocation in evidence.database.allocations:
        purchase = purchases.get(allocation.purchase_id)
        if allocation.status == "cancelled":
            continue
        if purchase is None:
            yield Violation(check=Check.DUPLICATED, order_id=None, what="an allocation without a purchase")
            continue
        wanted = _sessions_wanted(allocation, purchase)
        if allocation.sessions != wanted:
            check = Check.LOST if allocation.sessions < wanted else Check.DUPLICATED
            what = f"{allocation.sessions} sessions instead of {wanted}"
            yield Violation(check=check, order_id=purchase.order_id, what=what)


def nobody_is_double_booked(evidence: Evidence) -> Iterator[Violation]:
    for overlap in evidence.database.overlaps:
        what = f"{overlap.who} has a session of {overlap.other_order_id} at the same time"
        yield Violation(check=Check.DOUBLE_BOOKED, order_id=overlap.order_id, what=what)


def rows_have_their_events(evidence: Evidence) -> Iterator[Violation]:
    """A purchase is announced by PurchaseCreated, an approved allocation by TrainerAssigned, a pending one by
    AllocationPending.
    """
    events = [record.event for record in evidence.kafka.events]
    created = {event.purchase_id for event in events if isinstance(event, PurchaseCreated)}
    decided: dict[str, set[UUID]] = {
        "approved": {event.allocation_id for event in events if isinstance(event, TrainerAssigned)},
        "pending": {event.allocation_id for event in events if isinstance(event, AllocationPending)},
    }
    orders = {row.purchase_id: row.order_id for row in evidence.database.purchases}
    for purchase in evidence.database.purchases:
        if purchase.purchase_id not in created and not purchase.order_id.startswith("legacy-"):
            yield Violation(check=Check.LOST, order_id=purchase.order_id, what="PurchaseCreated is not in Kafka")
    for allocation in evidence.database.allocations:
        if allocation.allocation_id not in decided.get(allocation.status, {allocation.allocation_id}):
            what = f"no event says that the allocation is {allocation.status}"
            yield Violation(check=Check.LOST, order_id=orders.get(allocation.purchase_id), what=what)


def events_are_notified_once(evidence: Evidence) -> Iterator[Violation]:
    """Each event for the student has one notification, or is a dead letter of the notifier."""
    count = Counter(row.event_id for row in evidence.database.notifications)
    dead = {hop.event_id for hop in evidence.kafka.dead_letters if hop.worker == "notifier"}
    events: dict[UUID, Event] = {
        record.event.event_id: record.event for record in evidence.kafka.events if isinstance(record.event, _NOTIFIED)
    }
    for event_id, event in events.items():
        name = type(event).__name__
        if count[event_id] == 0 and event_id not in dead:
            yield Violation(check=Check.LOST, order_id=event.order_id, what=f"{name} was never notified")
        elif count[event_id] > 1:
            yield Violation(check=Check.DUPLICATED, order_id=event.order_id, what=f"{name} was notified twice")


def _dead_orders(evidence: Evidence, worker: str) -> set[str | None]:
    return {hop.order_id for hop in evidence.kafka.dead_letters if hop.worker == worker}


def _same(purchase: PurchaseRow, event: PaymentSucceeded) -> bool:
    bought = (purchase.student_id, purchase.course_id, purchase.purchase_tier, purchase.purchase_date)
    return bought == (event.student_id, event.course_id, event.purchase_tier, event.confirmed_at)


def _sessions_wanted(allocation: AllocationRow, purchase: PurchaseRow) -> int:
    return purchase.sessions_total if allocation.status == "approved" else 0
