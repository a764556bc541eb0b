"""An outcome for each event. What an event says about a purchase may be old: the purchase's row decides.

The decision that now stands is emitted for every record, new or not: a worker that died between its commit and its
emit is not known from its traces. The event's id follows from the decision, so that it is the same event.
"""

from services.assignment_worker.allocations import Decision, adjust, assign
from services.assignment_worker.tally import Tally
from services.common.database import Transaction
from services.common.errors import TransientError
from services.common.events import Event, PurchaseAdjusted, PurchaseCreated, allocation_event
from services.engine.outcomes import Done, Outcome, Retry


async def purchase_created(event: PurchaseCreated, transaction: Transaction, *, tally: Tally) -> Outcome:
    decision = await assign(transaction, event.purchase_id)
    tally.first_decision(decision)
    match decision["result"]:
        case "missing":
            # The row is committed before its event is sent: it is on its way from a standby, or from a restored backup.
            return _not_there(event)
        case "inactive":
            # Frozen or revoked meanwhile; if it comes back, a PurchaseAdjusted says so.
            return Done(result="duplicate", since=event.purchase_date)
        case result:
            return Done(emit=(allocation_event(decision),), result=result, since=event.purchase_date)


async def purchase_adjusted(event: PurchaseAdjusted, transaction: Transaction) -> Outcome:
    decision = await adjust(transaction, event.purchase_id)
    match decision["result"]:
        case "missing":
            return _not_there(event)
        case "inactive":
            return Done(result="duplicate")
        case result:
            return Done(emit=_standing(decision), result=result)


def _standing(decision: Decision) -> tuple[Event, ...]:
    return (allocation_event(decision),) if decision["status"] in {"approved", "pending"} else ()


def _not_there(event: PurchaseCreated | PurchaseAdjusted) -> Retry:
    return Retry(TransientError(f"purchase {event.purchase_id} is not there yet", cause_class="PurchaseMissing"))
