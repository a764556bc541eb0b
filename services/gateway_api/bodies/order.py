"""The body of POST /api/v1/orders: which course, how much of it, and when the student wants to learn."""

from datetime import datetime, timedelta
from typing import Annotated, Literal, Self
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, Field, StringConstraints, model_validator

from services.gateway_api.bodies.models import (
    Body,
    CalendarDate,
    Gender,
    Id,
    Location,
    Mode,
    Text,
    Tier,
    TimeOfDay,
    TimeZoneName,
    Weekday,
    all_different,
)
from services.gateway_api.limits import START_DATE_DAYS_MAX
from services.gateway_api.web.reading import invalid

Flexibility = Literal["time_30", "time_60", "weekday", "radius", "gender", "online"]
MetadataKey = Annotated[Text, StringConstraints(min_length=1, max_length=100)]
MetadataValue = Annotated[Text, StringConstraints(max_length=2000)]


class ScheduleBody(Body):
    """A weekly wish in the student's own zone. ISO weekdays: 1 is Monday."""

    start_date: CalendarDate
    time_slot: TimeOfDay
    weekdays: Annotated[list[Weekday], Field(min_length=1, max_length=7), AfterValidator(all_different)]
    time_zone: TimeZoneName
    duration_minutes: int = Field(ge=15, le=480)
    mode: Mode
    preferred_gender: Gender | None = None
    location: Location | None = None
    flexibility: Annotated[list[Flexibility], Field(max_length=6), AfterValidator(all_different)] = Field(
        default_factory=list, description="what may be relaxed when nobody fits"
    )

    @model_validator(mode="after")
    def _has_a_place(self) -> Self:
        if self.mode == "in_person" and self.location is None:
            raise ValueError("in_person needs a location")
        return self


class OrderBody(Body):
    course_id: Id
    purchase_tier: Tier
    provider: Id
    schedule: ScheduleBody
    metadata: dict[MetadataKey, MetadataValue] = Field(default_factory=dict, max_length=50)


def require_start_in_reach(schedule: ScheduleBody, now: datetime) -> None:
    """The start is today to 400 days ahead, on the calendar of the schedule's zone. Raises Problem 422."""
    today = now.astimezone(ZoneInfo(schedule.time_zone)).date()
    if not today <= schedule.start_date <= today + timedelta(days=START_DATE_DAYS_MAX):
        raise invalid(("schedule.startDate", f"today to {START_DATE_DAYS_MAX} days ahead"))
