"""The bodies of the staff's routes."""

from datetime import UTC, datetime
from itertools import pairwise
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, AwareDatetime, Field, StringConstraints, model_validator

from services.gateway_api.bodies.models import (
    AmountMinor,
    Body,
    Currency,
    Gender,
    Id,
    Location,
    Mode,
    Reason,
    Text,
    Tier,
    TimeOfDay,
    TimeZoneName,
    Weekday,
    all_different,
)

_SLOTS_MAX = 100
_WEEK_MINUTES = 7 * 24 * 60
Reference = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9]([A-Za-z0-9 ./_-]{0,98}[A-Za-z0-9])?$")]
Language = Annotated[str, StringConstraints(pattern=r"^[a-z]{2,3}(-[A-Za-z0-9]{2,8})*$", max_length=35)]
EndOfDay = Annotated[str, StringConstraints(pattern=r"^(([01][0-9]|2[0-3]):[0-5][0-9]|24:00)$")]


def _is_kept(moment: datetime) -> datetime:
    """Compared as it is: the first and the last hours of the calendar are in no other zone's years."""
    if not datetime(2000, 1, 1, tzinfo=UTC) <= moment < datetime(2201, 1, 1, tzinfo=UTC):
        raise ValueError("between the years 2000 and 2200")
    return moment


KeptTime = Annotated[AwareDatetime, AfterValidator(_is_kept)]


class ReasonBody(Body):
    """Why a person decided so; kept in the audit log."""

    reason: Reason | None = None


class DeactivateBody(ReasonBody):
    """reassign: to others at once, and pending where nobody fits; pending: a person looks at each first."""

    plan: Literal["reassign", "pending"] = "reassign"


class RefundBody(Body):
    """`amountMinor` left out: all that has not been refunded. `paymentId`: one that is to go back because it does not
    pay the order; left out: the one that does.
    """

    payment_id: Id | None = None
    amount_minor: AmountMinor | None = None
    reason: Reason


class SettleBody(Body):
    """Money that went back past the provider. `reference`: what the bank calls the transfer; the same one counts once.
    `amountMinor`: in the currency in which the payment was made. `paymentId`: as of a refund.
    """

    payment_id: Id | None = None
    amount_minor: AmountMinor
    reference: Reference
    reason: Reason


class ResolveBody(Body):
    """Of a payment in review: it pays the order as it is, or the money goes back."""

    decision: Literal["accept", "refund"]
    reason: Reason


class ApproveBody(ReasonBody):
    trainer_id: Id | None = Field(None, description="another trainer than the one proposed")


class ReassignBody(ReasonBody):
    trainer_id: Id


class RescheduleBody(ReasonBody):
    """The session's length stays."""

    starts_at: KeptTime


class RetryBody(ReasonBody):
    student_id: Id
    course_id: Id


class AllocateBody(RetryBody):
    trainer_id: Id


class WeeklySlot(Body):
    """Local times in the trainer's zone; `to` may be 24:00."""

    weekday: Weekday
    start: TimeOfDay = Field(alias="from")
    end: EndOfDay = Field(alias="to")

    @model_validator(mode="after")
    def _has_length(self) -> Self:
        if self.end <= self.start:
            raise ValueError("`to` must be later than `from`")
        return self


class TimeOff(Body):
    starts_at: KeptTime
    ends_at: KeptTime

    @model_validator(mode="after")
    def _has_length(self) -> Self:
        if self.ends_at <= self.starts_at:
            raise ValueError("endsAt must be later than startsAt")
        return self


def _apart(slots: list[WeeklySlot]) -> list[WeeklySlot]:
    ordered = sorted(slots, key=lambda slot: (slot.weekday, slot.start))
    if any(one.weekday == two.weekday and one.end > two.start for one, two in pairwise(ordered)):
        raise ValueError("slots of one day must not overlap")
    return slots


class TrainerBody(Body):
    """Full replacement: what is left out is a mistake, not "as before"."""

    name: Annotated[Text, StringConstraints(min_length=1, max_length=200)]
    active: bool
    courses: Annotated[list[Id], Field(max_length=200), AfterValidator(all_different)]
    gender: Gender | None
    modes: Annotated[list[Mode], Field(min_length=1, max_length=2), AfterValidator(all_different)]
    time_zone: TimeZoneName
    location: Location | None
    travel_radius_km: float | None = Field(ge=0, le=1000, allow_inf_nan=False)
    weekly_capacity_minutes: int = Field(ge=0, le=_WEEK_MINUTES)
    weekly_slots: Annotated[list[WeeklySlot], Field(max_length=_SLOTS_MAX), AfterValidator(_apart)]
    languages: Annotated[list[Language], Field(max_length=20), AfterValidator(all_different)]
    time_off: list[TimeOff] = Field(max_length=200)
    reason: Reason | None = None

    @model_validator(mode="after")
    def _can_travel(self) -> Self:
        if "in_person" in self.modes and (self.location is None or self.travel_radius_km is None):
            raise ValueError("in_person needs a location and a travelRadiusKm")
        return self


class Price(Body):
    purchase_tier: Tier
    amount_minor: AmountMinor
    currency: Currency


def _one_per_tier(prices: list[Price]) -> list[Price]:
    if len({price.purchase_tier for price in prices}) != len(prices):
        raise ValueError("one price for each tier")
    return prices


class PricesBody(Body):
    """`calendar`: whose public holidays the course observes, an ISO country like IN, optionally IN-KA."""

    prices: Annotated[list[Price], Field(min_length=1, max_length=3), AfterValidator(_one_per_tier)]
    calendar: Annotated[str, StringConstraints(pattern=r"^[A-Z]{2}(-[A-Z0-9]{1,3})?$")]
    reason: Reason | None = None


def utc(moment: datetime) -> datetime:
    return moment.astimezone(UTC)
