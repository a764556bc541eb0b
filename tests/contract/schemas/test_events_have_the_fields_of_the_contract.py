"""Other programs are written against these names, types and ids."""

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

import orjson
import pytest

from services.common.codec import SCHEMAS_DIRECTORY, load_codec, snake_case
from services.common.events import EVENT_TYPES, Schedule

UUID = {"type": "string", "logicalType": "uuid"}
TIME = {"type": "long", "logicalType": "timestamp-micros"}
DATE = {"type": "int", "logicalType": "date"}
TEXTS = {"type": "array", "items": "string"}
METADATA = {"type": "map", "values": "string"}
SCHEDULE: Mapping[str, Any] = {
    "start_date": DATE,
    "time_slot": "string",
    "weekdays": {"type": "array", "items": "int"},
    "time_zone": "string",
    "duration_minutes": "int",
    "mode": "string",
    "preferred_gender": ["null", "string"],
    "latitude": ["null", "double"],
    "longitude": ["null", "double"],
    "flexibility": TEXTS,
}
WHOSE = {"order_id": "string", "student_id": "string", "course_id": "string"}
CONTRACT: Mapping[str, Mapping[str, Any]] = {
    "PaymentSucceeded": {
        "event_id": UUID,
        **WHOSE,
        "payment_id": "string",
        "provider": "string",
        "purchase_tier": "int",
        "amount_minor": "long",
        "currency": "string",
        "confirmed_at": TIME,
        "schedule": SCHEDULE,
        "metadata": METADATA,
    },
    "PurchaseCreated": {
        "event_id": UUID,
        "purchase_id": UUID,
        **WHOSE,
        "purchase_tier": "int",
        "purchase_date": TIME,
        "expiry_date": TIME,
        "schedule": SCHEDULE,
        "metadata": METADATA,
    },
    "TrainerAssigned": {
        "event_id": UUID,
        "allocation_id": UUID,
        "purchase_id": UUID,
        **WHOSE,
        "trainer_id": "string",
        "session_count": "int",
        "first_session_at": TIME,
    },
    "AllocationPending": {
        "event_id": UUID,
        "allocation_id": UUID,
        "purchase_id": UUID,
        **WHOSE,
        "reason": "string",
    },
    "PaymentAdjusted": {
        "event_id": UUID,
        "order_id": "string",
        "status": "string",
        "amount_minor": "long",
        "refunded_minor": "long",
        "currency": "string",
        "sequence": "long",
        "occurred_at": TIME,
    },
    "PurchaseAdjusted": {
        "event_id": UUID,
        "purchase_id": UUID,
        **WHOSE,
        "status": "string",
        "sessions_total": "int",
        "sequence": "long",
    },
}


@pytest.mark.parametrize("name", CONTRACT)
def test_the_first_version_has_the_fields_and_types_of_the_contract(name: str) -> None:
    schema = orjson.loads((SCHEMAS_DIRECTORY / snake_case(name) / "1.avsc").read_bytes())

    assert _types(schema) == CONTRACT[name]
    assert (schema["namespace"], schema["name"]) == ("coursepay", name)


def _types(record: Mapping[str, Any]) -> dict[str, Any]:
    found = {field["name"]: field["type"] for field in record["fields"]}
    return {name: _types(kind) if _is_record(kind) else kind for name, kind in found.items()}


def _is_record(kind: object) -> bool:
    return isinstance(kind, dict) and kind.get("type") == "record"


@pytest.mark.parametrize("name", CONTRACT)
def test_the_code_knows_every_field_and_no_other(name: str) -> None:
    assert {field.name for field in fields(EVENT_TYPES[name])} == set(CONTRACT[name])


def test_the_schedule_in_the_code_is_the_one_in_the_events() -> None:
    assert {field.name for field in fields(Schedule)} == set(SCHEDULE)


def test_ids_are_the_ones_in_frames_for_ever() -> None:
    ids = orjson.loads((SCHEMAS_DIRECTORY / "ids.json").read_bytes())

    assert {f"{snake_case(name)}/1": number for number, name in enumerate(CONTRACT, start=1)}.items() <= ids.items()


def test_flexibility_may_be_left_out_by_a_writer_from_before_it() -> None:
    schema = orjson.loads((SCHEMAS_DIRECTORY / "payment_succeeded" / "1.avsc").read_bytes())
    schedule = next(field for field in schema["fields"] if field["name"] == "schedule")["type"]
    defaults = {field["name"]: field["default"] for field in schedule["fields"] if "default" in field}

    assert defaults == {"preferred_gender": None, "latitude": None, "longitude": None, "flexibility": []}
    assert len(load_codec().released) >= len(CONTRACT)
