"""What goes into writes.py and what comes out, and its rows as the values that the pure parts work on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from services.common.database import Row
from services.gateway_api.payments.changes import Change, Order, Payment
from services.gateway_api.payments.state import Fact, Price, Status
from services.gateway_api.providers import VerifiedPayment
from services.gateway_api.providers.meanings import Meaning


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """A fact, and the trace in which it came."""

    fact: VerifiedPayment
    traceparent: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """What the books say now. `order_id`, `student_id`, `course_id` None: nobody's order. `new`: the fact was not there
    before; `accepted`: the payment that pays the order, since `confirmed_at`.
    """

    order_id: str | None
    new: bool
    student_id: str | None = None
    course_id: str | None = None
    status: Status = "created"
    accepted: str | None = None
    confirmed_at: datetime | None = None
    wrote_event: bool = False

    @property
    def about(self) -> Mapping[str, str | None]:
        """Fields of a log line."""
        return {"orderId": self.order_id, "studentId": self.student_id, "courseId": self.course_id}


# Facts, each beside the row of its order and payment, if there is one.
Placed = Sequence[tuple[Told, Row | None]]


def fact_of(row: Row) -> Fact:
    return Fact(
        payment_id=row["payment_id"],
        entity_id=row["entity_id"],
        meaning=Meaning(row["status"]) if row["status"] is not None else None,
        source=row["source"],
        amount_minor=row["amount_minor"],
        cumulative=row["cumulative"],
        currency=row["currency"],
    )


def order_of(row: Row) -> Order:
    return Order(
        order_id=row["order_id"],
        provider=row["provider"],
        student_id=row["student_id"],
        course_id=row["course_id"],
        purchase_tier=row["purchase_tier"],
        price=Price(amount_minor=row["amount_minor"], currency=row["currency"]),
        schedule=row["schedule"],
        metadata=row["metadata"],
    )


def payment_of(row: Row) -> Payment:
    return Payment(
        status=row["status"],
        payment_id=row["payment_id"],
        refunded_minor=row["refunded_minor"],
        sequence=row["sequence"],
        confirmed_at=row["confirmed_at"],
    )


def recorded_of(
    placed: Placed,
    before: Mapping[str, Payment],
    stored: Sequence[Row],
    changes: Mapping[str, Change],
    *,
    wait: bool,
) -> list[Recorded | None]:
    """One for each of `placed`. Without `wait` None for one without a row: whoever waits will see whose it is."""
    new = {(row["provider"], row["body_sha256"]) for row in stored if row["is_new"]}
    recorded: list[Recorded | None] = []
    for one, row in placed:
        digest = (one.fact.provider, one.fact.body_sha256)
        # Of two equal bodies in one batch one was added.
        is_new = digest in new
        new.discard(digest)
        if row is None:
            recorded.append(Recorded(order_id=None, new=is_new) if wait else None)
            continue
        order_id = row["order_id"]
        change = changes.get(order_id)
        payment = change.payment if change is not None else before[order_id]
        recorded.append(
            Recorded(
                order_id=order_id,
                new=is_new,
                student_id=row["student_id"],
                course_id=row["course_id"],
                status=payment.status,
                accepted=payment.payment_id,
                confirmed_at=payment.confirmed_at,
                wrote_event=change is not None and bool(change.events),
            )
        )
    return recorded
