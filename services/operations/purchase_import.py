"""Purchases from before coursepay, read from JSON lines or CSV and added once, however often the file is given.

Their order ids begin with `legacy-`. No event tells of them, so they wait for a trainer from the start, and are tried
within seconds like all who wait. docs/importing-purchases.md is the format. Tables: student_course_purchases (added
to), courses (read); the function let_wait of sql/ writes trainer_allocations.
"""

import csv
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Self

import orjson
from pydantic import AwareDatetime, Field, StringConstraints, ValidationError, model_validator

from services.common.database import Database, Transaction
from services.common.events import Schedule, purchase_id_of
from services.gateway_api.bodies.models import Body, Id, Tier
from services.gateway_api.bodies.order import MetadataKey, MetadataValue, ScheduleBody
from services.purchase_worker.details import details_json
from services.purchase_worker.terms import expiry_of

_AT_ONCE = 1000
_KNOWN_COURSES = "SELECT course_id FROM courses WHERE course_id = ANY ($1::text[])"
_THERE = """
SELECT order_id, student_id, course_id, purchase_tier
  FROM student_course_purchases WHERE order_id = ANY ($1::text[])
"""
_ADD = """
INSERT INTO student_course_purchases
       (id, order_id, student_id, course_id, purchase_tier, sessions_total, purchase_date, expiry_date, metadata)
SELECT * FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::int[], $6::int[], $7::timestamptz[],
                     $8::timestamptz[], $9::jsonb[])
ON CONFLICT DO NOTHING
RETURNING id
"""
_LET_WAIT = "SELECT let_wait($1::uuid[])"
_SCHEDULE_COLUMNS = ("startDate", "timeSlot", "timeZone", "mode", "preferredGender")
_NUMBERS = ("purchaseTier", "sessionsTotal")


class OldPurchase(Body):
    """`sessionsTotal`: those still to be held (absent: the tier)."""

    order_id: Annotated[str, StringConstraints(pattern=r"^legacy-[A-Za-z0-9_-]{1,57}$")]
    student_id: Id
    course_id: Id
    purchase_tier: Tier
    sessions_total: int | None = Field(None, ge=1)
    purchase_date: AwareDatetime
    expiry_date: AwareDatetime | None = None
    schedule: ScheduleBody
    metadata: dict[MetadataKey, MetadataValue] = Field(default_factory=dict, max_length=50)

    @model_validator(mode="after")
    def _is_within_the_tier(self) -> Self:
        if self.sessions_total is not None and self.sessions_total > self.purchase_tier:
            raise ValueError("sessionsTotal is more than the tier")
        return self

    @property
    def sold(self) -> tuple[str, str, int]:
        return self.student_id, self.course_id, self.purchase_tier


@dataclass(frozen=True, slots=True, kw_only=True)
class Sheet:
    """What a file says. `mistakes`: sentences that begin with the line's number."""

    purchases: Sequence[tuple[int, OldPurchase]]
    mistakes: Sequence[str]


def read_sheet(text: str, *, is_csv: bool) -> Sheet:
    purchases: dict[str, tuple[int, OldPurchase]] = {}
    mistakes = []
    for number, document in _documents(text, is_csv=is_csv):
        try:
            one = OldPurchase.model_validate_json(document)
        except ValidationError as error:
            mistakes += [
                f"line {number}: {'.'.join(map(str, each['loc'])) or 'the line'}: {each['msg']}"
                for each in error.errors(include_url=False)
            ]
            continue
        if one.order_id in purchases:
            mistakes.append(f"line {number}: {one.order_id} is on line {purchases[one.order_id][0]} too")
        purchases[one.order_id] = (number, one)
    return Sheet(purchases=list(purchases.values()), mistakes=mistakes)


async def check_sheet(
    database: Database, sheet: Sheet, *, expiry_days: Mapping[int, int], now: datetime
) -> tuple[Sequence[str], frozenset[str]]:
    """(mistakes that only the database can tell, order ids that are there already). Raises RecordError kinds."""
    async with database.connection() as connection:
        courses = {
            row[0] for row in await connection.fetch(_KNOWN_COURSES, [one.course_id for _, one in sheet.purchases])
        }
        there = {
            row["order_id"]: (row["student_id"], row["course_id"], row["purchase_tier"])
            for row in await connection.fetch(_THERE, [one.order_id for _, one in sheet.purchases])
        }
    mistakes = []
    for number, one in sheet.purchases:
        if one.course_id not in courses:
            mistakes.append(f"line {number}: there is no course {one.course_id}")
        if one.order_id in there and there[one.order_id] != one.sold:
            mistakes.append(f"line {number}: {one.order_id} is there with another student, course or tier")
        if one.order_id not in there and _expiry(one, expiry_days) <= now:
            mistakes.append(f"line {number}: {one.order_id} has expired")
    return mistakes, frozenset(there)


async def add_sheet(database: Database, sheet: Sheet, *, expiry_days: Mapping[int, int]) -> int:
    """How many were added; what is there stays as it is. Raises RecordError kinds; what was added then stays."""
    purchases = [one for _, one in sheet.purchases]
    added = 0
    for start in range(0, len(purchases), _AT_ONCE):
        async with database.transaction() as transaction:
            added += await _add(transaction, purchases[start : start + _AT_ONCE], expiry_days)
    return added


async def _add(transaction: Transaction, purchases: Sequence[OldPurchase], expiry_days: Mapping[int, int]) -> int:
    rows = await transaction.fetch(
        _ADD,
        [purchase_id_of(one.order_id) for one in purchases],
        [one.order_id for one in purchases],
        [one.student_id for one in purchases],
        [one.course_id for one in purchases],
        [one.purchase_tier for one in purchases],
        [one.sessions_total or one.purchase_tier for one in purchases],
        [one.purchase_date for one in purchases],
        [_expiry(one, expiry_days) for one in purchases],
        [details_json(_schedule(one.schedule), one.metadata) for one in purchases],
    )
    await transaction.execute(_LET_WAIT, [row["id"] for row in rows])
    return len(rows)


def _expiry(one: OldPurchase, expiry_days: Mapping[int, int]) -> datetime:
    return one.expiry_date or expiry_of(one.purchase_date, _schedule(one.schedule), expiry_days[one.purchase_tier])


def _schedule(body: ScheduleBody) -> Schedule:
    return Schedule(
        start_date=body.start_date,
        time_slot=body.time_slot,
        weekdays=tuple(body.weekdays),
        time_zone=body.time_zone,
        duration_minutes=body.duration_minutes,
        mode=body.mode,
        preferred_gender=body.preferred_gender,
        latitude=body.location.latitude if body.location else None,
        longitude=body.location.longitude if body.location else None,
        flexibility=tuple(body.flexibility),
    )


def _documents(text: str, *, is_csv: bool) -> Iterator[tuple[int, bytes | str]]:
    """(line, JSON)."""
    if not is_csv:
        yield from ((number, line) for number, line in enumerate(text.splitlines(), start=1) if line.strip())
        return
    reader = csv.DictReader(text.splitlines())
    for row in reader:
        yield reader.line_num, orjson.dumps(_from_columns({k: v for k, v in row.items() if k and v}))


def _from_columns(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row of CSV as the JSON of a line; lists are separated by blanks."""
    schedule: dict[str, Any] = {name: row[name] for name in _SCHEDULE_COLUMNS if name in row}
    schedule["weekdays"] = _numbers(row.get("weekdays", "").split())
    schedule["flexibility"] = row.get("flexibility", "").split()
    schedule["durationMinutes"] = _number(row.get("durationMinutes", "60"))
    if "latitude" in row or "longitude" in row:
        schedule["location"] = {name: _number(row.get(name, "")) for name in ("latitude", "longitude")}
    used = {*_SCHEDULE_COLUMNS, "weekdays", "flexibility", "durationMinutes", "latitude", "longitude"}
    rest = {name: _number(value) if name in _NUMBERS else value for name, value in row.items() if name not in used}
    return {**rest, "schedule": schedule}


def _numbers(words: Iterable[str]) -> list[object]:
    return [_number(word) for word in words]


def _number(word: str) -> object:
    """The word itself if it is none: the check then says which column it is."""
    for kind in (int, float):
        try:
            return kind(word)
        except ValueError:
            continue
    return word
