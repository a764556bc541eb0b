"""Everything the provider knows, in memory, and the only ways in which it changes."""

import time
from collections import OrderedDict
from typing import Literal

from services.sandbox.limits import ORDERS_MAX
from services.sandbox.razorpay.entities import Json, Order, Payment, PaymentStatus, Refund, new_id

Listed = Literal["payments", "refunds", "disputes"]


class Refused(Exception):  # noqa: N818 - the provider's answer, not a fault of ours
    """The provider says no; the message is its description."""


class Books:
    """Of one account. The oldest orders are forgotten above a limit, with their payments."""

    def __init__(self) -> None:
        self.orders: OrderedDict[str, Order] = OrderedDict()
        self.payments: dict[str, Payment] = {}
        self.disputes: dict[str, Json] = {}
        self._payments_of: dict[str, list[Payment]] = {}
        self._by_receipt: dict[str, Order] = {}
        self._refund_keys: dict[str, Refund] = {}

    def create_order(
        self, *, amount: int, currency: str, receipt: str | None, notes: dict[str, str], unique_receipt: bool
    ) -> Order:
        """With `unique_receipt` a repeated receipt gets the order that it made the first time."""
        if unique_receipt and receipt is not None and receipt in self._by_receipt:
            return self._by_receipt[receipt]
        order = Order(
            id=new_id("order_"),
            amount=amount,
            currency=currency,
            receipt=receipt,
            notes=notes,
            created_at=_now(),
        )
        self.orders[order.id] = order
        self._payments_of[order.id] = []
        if receipt is not None:
            self._by_receipt[receipt] = order
        self._forget_oldest()
        return order

    def listed(self, kind: Listed) -> list[Json]:
        """Of all orders, oldest first."""
        match kind:
            case "payments":
                return [payment.to_json() for payment in self.payments.values()]
            case "refunds":
                return [refund.to_json() for payment in self.payments.values() for refund in payment.refunds]
            case "disputes":
                return list(self.disputes.values())

    def payments_of(self, order_id: str) -> list[Payment]:
        return self._payments_of[order_id]

    def pay(self, order: Order, *, method: str, status: PaymentStatus, amount: int | None = None) -> Payment:
        """A new payment in `status`. `amount` differs from the order's only to try out a mismatch. Raises Refused when
        the order is paid already.
        """
        if order.status == "paid":
            raise Refused("Order is already paid")
        payment = Payment(
            id=new_id("pay_"),
            order_id=order.id,
            amount=order.amount if amount is None else amount,
            currency=order.currency,
            method=method,
            created_at=_now(),
        )
        order.attempts += 1
        self.payments[payment.id] = payment
        self._payments_of[order.id].append(payment)
        self.move(payment, status)
        return payment

    def move(self, payment: Payment, status: PaymentStatus) -> None:
        payment.status = status
        if status == "captured":
            self.orders[payment.order_id].amount_paid += payment.amount

    def refund(
        self, payment: Payment, *, amount: int | None, receipt: str | None, notes: dict[str, str], key: str | None
    ) -> tuple[Refund, bool]:
        """(refund, whether it is new). `amount` None: all that is left. A repeated `key` gets its first refund; raises
        Refused for another amount under the same key, and for more than is left.
        """
        known = self._refund_keys.get(key) if key else None
        if known is not None:
            if known.payment_id != payment.id or amount not in {None, known.amount}:
                raise Refused("Different request body sent for the same idempotency key.")
            return known, False
        left = payment.amount - payment.amount_refunded
        wanted = left if amount is None else amount
        if payment.status != "captured" or not 0 < wanted <= left:
            raise Refused("The total refund amount is greater than the refund payment amount")
        refund = Refund(
            id=new_id("rfnd_"),
            payment_id=payment.id,
            amount=wanted,
            currency=payment.currency,
            receipt=receipt,
            notes=notes,
            created_at=_now(),
        )
        payment.refunds.append(refund)
        if payment.amount_refunded >= payment.amount:
            payment.status = "refunded"
        if key:
            self._refund_keys[key] = refund
        return refund, True

    def fail_refund(self, refund_id: str) -> tuple[Refund, Payment]:
        """The bank sends it back: the money is the merchant's again. Raises Refused when there is none to fail."""
        for payment in self.payments.values():
            for refund in payment.refunds:
                if refund.id == refund_id and refund.status == "processed":
                    refund.status = "failed"
                    payment.status = "captured"
                    return refund, payment
        raise Refused("The id provided does not exist")

    def _forget_oldest(self) -> None:
        while len(self.orders) > ORDERS_MAX:
            _, order = self.orders.popitem(last=False)
            if order.receipt is not None:
                self._by_receipt.pop(order.receipt, None)
            for payment in self._payments_of.pop(order.id):
                del self.payments[payment.id]


def _now() -> int:
    return int(time.time())
