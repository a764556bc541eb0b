"""An outcome for each event: a purchase from a payment, and a change of the purchase from a change of the payment.

Events are told for every finished record, new or repeated: a process that died between its commit and its emits left
some untold, and whoever hears one twice hears the same.
"""

from collections.abc import Mapping, Sequence

from services.common.database import Transaction
from services.common.errors import PermanentError
from services.common.events import Event, PaymentAdjusted, PaymentSucceeded, PurchaseAdjusted
from services.engine.outcomes import Dead, Done, Outcome
from services.purchase_worker.adjustments import apply_adjustments, keep_newest
from services.purchase_worker.purchases import Purchases, add_purchases, lock_orders
from services.purchase_worker.terms import purchase_status_of


class PurchaseHandler:
    """`expiry_days`: tier -> days."""

    def __init__(self, expiry_days: Mapping[int, int]) -> None:
        self._expiry_days = expiry_days

    async def payments_succeeded(
        self, payments: Sequence[PaymentSucceeded], transaction: Transaction
    ) -> Sequence[Outcome]:
        order_ids = [paid.order_id for paid in payments]
        await lock_orders(transaction, order_ids)
        purchases = await add_purchases(transaction, payments, self._expiry_days)
        adjusted = await apply_adjustments(transaction, order_ids)
        untold = set(purchases.new)
        outcomes: list[Outcome] = []
        for paid in payments:
            outcomes.append(_bought(paid, purchases, adjusted.get(paid.order_id), new=paid.order_id in untold))
            # Of twins in one batch the first is new.
            untold.discard(paid.order_id)
        return outcomes

    async def payments_adjusted(
        self, adjustments: Sequence[PaymentAdjusted], transaction: Transaction
    ) -> Sequence[Outcome]:
        impossible = {change: error for change in adjustments if (error := _error_of(change)) is not None}
        possible = [change for change in adjustments if change not in impossible]
        order_ids = [change.order_id for change in possible]
        await lock_orders(transaction, order_ids)
        new = set(await keep_newest(transaction, possible))
        adjusted = await apply_adjustments(transaction, order_ids)
        outcomes: list[Outcome] = []
        for change in adjustments:
            if change in impossible:
                outcomes.append(Dead(impossible[change]))
            else:
                outcomes.append(_adjusted(adjusted.get(change.order_id), new=change in new))
                new.discard(change)
        return outcomes


def _bought(paid: PaymentSucceeded, purchases: Purchases, adjusted: PurchaseAdjusted | None, *, new: bool) -> Outcome:
    created = purchases.created.get(paid.order_id)
    if created is None:
        return Dead(PermanentError("another purchase has this order's purchase id", cause_class="PurchaseIdTaken"))
    emit: tuple[Event, ...] = (created,) if adjusted is None else (created, adjusted)
    return Done(emit=emit, result="ok", since=paid.confirmed_at) if new else Done(emit=emit, result="duplicate")


def _adjusted(adjusted: PurchaseAdjusted | None, *, new: bool) -> Outcome:
    if adjusted is None:
        # It waits for the purchase, whose handler tells of it.
        return Done(result="pending" if new else "duplicate")
    return Done(emit=(adjusted,), result="ok" if new else "duplicate")


def _error_of(change: PaymentAdjusted) -> PermanentError | None:
    try:
        purchase_status_of(change.status)
    except PermanentError as error:
        return error
    return None
