"""The answers of the API, as contract and as code. A test checks every real answer against these."""

from datetime import datetime
from typing import Generic, Literal, TypeVar
from uuid import UUID

from pydantic import ConfigDict, Field
from pydantic.json_schema import SkipJsonSchema

from services.gateway_api.bodies.models import Answer

Item = TypeVar("Item")


class OrderAnswer(Answer):
    order_id: str
    provider: str
    provider_order_id: str
    amount_minor: int
    currency: str
    public_key: str
    status: str
    created_at: datetime
    client_secret: str | SkipJsonSchema[None] = Field(
        default=None, exclude_if=lambda value: value is None, description="of Stripe only"
    )


class ConfirmAnswer(Answer):
    order_id: str
    payment_id: str
    status: Literal["succeeded"]
    confirmed_at: datetime
    replayed: bool = Field(description="false in one answer at most")


class ConfirmPendingAnswer(Answer):
    order_id: str
    status: str


class WebhookAnswer(Answer):
    received: bool
    duplicate: bool


class PurchaseItem(Answer):
    """`purchaseId` and `expiryDate` are null while the course is `being_set_up`."""

    purchase_id: UUID | None
    order_id: str
    course_id: str
    purchase_tier: int
    status: Literal["being_set_up", "active", "frozen", "revoked", "expired"]
    purchase_date: datetime
    expiry_date: datetime | None


class SessionItem(Answer):
    session_id: str
    allocation_id: UUID
    trainer_id: str
    course_id: str
    starts_at: datetime
    ends_at: datetime
    status: Literal["scheduled", "completed", "cancelled"]


class ProgressItem(Answer):
    course_id: str
    purchase_id: UUID
    sessions_total: int
    sessions_completed: int
    last_completed_at: datetime | None


class AllocationItem(Answer):
    """`reason`: the filter that emptied the set; `relaxation`: the smallest one that would succeed."""

    allocation_id: UUID
    purchase_id: UUID
    order_id: str
    student_id: str
    course_id: str
    status: Literal["approved", "pending", "cancelled"]
    trainer_id: str | None
    reason: str | None
    relaxation: str | None
    created_at: datetime


class NearMiss(Answer):
    """A trainer who nearly fits: what fails (gender, slot, capacity, radius, leave or dates) and by how much."""

    trainer_id: str
    fails: list[str]
    minutes_lacking: int | None = None
    metres_too_far: int | None = None
    sessions_in_the_way: int | None = None


class Repair(Answer):
    """Moving this allocation, which has not begun, to `toTrainerId` frees the slot with `trainerId`."""

    trainer_id: str
    allocation_id: UUID
    to_trainer_id: str


class PendingItem(AllocationItem):
    """`cutShort`: not all trainers were looked at, there were too many. Somebody may be free, and a smaller relaxation
    may be enough.
    """

    cut_short: bool
    near_misses: list[NearMiss]
    repairs: list[Repair]


class PaymentAnswer(Answer):
    order_id: str
    status: Literal[
        "created", "succeeded", "failed", "review", "partially_refunded", "refunded", "disputed", "charged_back"
    ]
    payment_id: str | None
    amount_minor: int
    currency: str
    confirmed_at: datetime | None
    purchase: PurchaseItem | None
    allocation: AllocationItem | None


class RefundAnswer(Answer):
    """The provider is asked soon; `GET /payments/{orderId}` tells when the money is back."""

    order_id: str
    payment_id: str
    refund_id: UUID
    amount_minor: int
    currency: str
    status: Literal["pending"]


class ResolveAnswer(Answer):
    order_id: str
    decision: Literal["accept", "refund"]
    status: str
    payment_id: str | None
    confirmed_at: datetime | None


class Page(Answer, Generic[Item]):
    items: list[Item]
    next_cursor: str | None


class PurchasePage(Page[PurchaseItem]):
    pass


class SessionPage(Page[SessionItem]):
    pass


class ProgressPage(Page[ProgressItem]):
    pass


class BlockedEventItem(Answer):
    """An event that Kafka refused. `waitingBehind`: later events of the same order, held back by it."""

    event_number: int
    order_id: str
    type: str
    version: int
    attempts: int
    created_at: datetime
    due_at: datetime
    last_error: str | None
    waiting_behind: int


class BlockedEventPage(Page[BlockedEventItem]):
    pass


class BlockedEventAnswer(Answer):
    event_number: int
    order_id: str
    status: Literal["due"]


class AllocationPage(Page[PendingItem]):
    pass


class AllocationAnswer(Answer):
    allocation_id: UUID
    status: str
    trainer_id: str | None
    reason: str | None


class SessionAnswer(Answer):
    session_id: str
    status: str


class RescheduledAnswer(SessionAnswer):
    starts_at: datetime
    ends_at: datetime


class PriceAnswer(Answer):
    purchase_tier: int
    amount_minor: int
    currency: str


class PricesAnswer(Answer):
    course_id: str
    calendar: str
    prices: list[PriceAnswer]


class HealthAnswer(Answer):
    status: Literal["ok", "failing"]


class FieldError(Answer):
    field: str
    message: str


class ProblemAnswer(Answer):
    """RFC 9457. Switch on `type` only; its page says what to do."""

    model_config = ConfigDict(extra="allow")

    type: str
    title: str
    status: int
    instance: str
    detail: str | SkipJsonSchema[None] = Field(default=None, exclude_if=lambda value: value is None)
    errors: list[FieldError] | SkipJsonSchema[None] = Field(default=None, exclude_if=lambda value: value is None)
