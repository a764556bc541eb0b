"""The two kinds of JSON models: what comes in (strict, nothing unknown) and what goes out. camelCase on the wire."""

import re
from datetime import date
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints
from pydantic.alias_generators import to_camel

from services.common.validation import is_time_zone


class Body(BaseModel):
    """What a caller sends."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, alias_generator=to_camel)


class Answer(BaseModel):
    """What we answer; constructed by our names, told by the wire's."""

    model_config = ConfigDict(
        frozen=True,
        alias_generator=to_camel,
        validate_by_name=True,
        validate_by_alias=True,
        serialize_by_alias=True,
        json_schema_serialization_defaults_required=True,
    )


def _no_null(text: str) -> str:
    # PostgreSQL stores every character but this one.
    if "\0" in text:
        raise ValueError("U+0000 cannot be stored")
    return text


def _time_zone(name: str) -> str:
    if not is_time_zone(name):
        raise ValueError("an IANA time zone with its place, like Asia/Kolkata")
    return name


def _calendar_date(value: object) -> object:
    # pydantic would also take a string of Unix seconds.
    if not isinstance(value, str) or re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", value) is None:
        raise ValueError("a date like 2027-01-04")
    return date.fromisoformat(value)


Id = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
Text = Annotated[str, AfterValidator(_no_null)]
Reason = Annotated[str, StringConstraints(min_length=1, max_length=500), AfterValidator(_no_null)]
CalendarDate = Annotated[date, BeforeValidator(_calendar_date)]
TimeOfDay = Annotated[str, StringConstraints(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$")]
TimeZoneName = Annotated[str, StringConstraints(max_length=60), AfterValidator(_time_zone)]
Weekday = Annotated[int, Field(ge=1, le=7)]
Tier = Literal[10, 20, 30]
Mode = Literal["online", "in_person"]
Gender = Literal["female", "male"]
Currency = Annotated[str, StringConstraints(pattern=r"^[A-Z]{3}$")]
AmountMinor = Annotated[int, Field(ge=1, le=10**12)]


class Location(Body):
    latitude: float = Field(ge=-90, le=90, allow_inf_nan=False)
    longitude: float = Field(ge=-180, le=180, allow_inf_nan=False)


def all_different(values: list[object]) -> list[object]:
    """For lists that are sets on the wire."""
    if len(set(values)) != len(values):
        raise ValueError("each value once")
    return values
