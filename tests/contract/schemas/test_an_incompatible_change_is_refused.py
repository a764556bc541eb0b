"""What somebody might do to schemas/ in a hurry, each in a copy of it."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest

from services.common.codec import SCHEMAS_DIRECTORY
from services.common.errors import ConfigurationError
from services.operations.schemas.check import check_schemas
from services.operations.schemas.release import release

Change = Callable[[Any], object]


@pytest.fixture
def schemas(tmp_path: Path) -> Path:
    return Path(shutil.copytree(SCHEMAS_DIRECTORY, tmp_path / "schemas"))


def edit(path: Path, change: Change) -> None:
    content = orjson.loads(path.read_bytes())
    change(content)
    path.write_bytes(orjson.dumps(content))


def add_version(schemas: Path, change: Change, example: Change = lambda _: None) -> None:
    folder = schemas / "payment_succeeded"
    for suffix in ("avsc", "example.json"):
        shutil.copy(folder / f"1.{suffix}", folder / f"2.{suffix}")
    edit(folder / "2.avsc", change)
    edit(folder / "2.example.json", example)


def add_field(**field: object) -> Change:
    return lambda schema: schema["fields"].append(field)


def drop_field(name: str) -> Change:
    return lambda schema: schema["fields"].remove(next(f for f in schema["fields"] if f["name"] == name))


def retype(name: str, kind: object) -> Change:
    return lambda schema: next(f for f in schema["fields"] if f["name"] == name).update(type=kind)


# What the example must hold to get past its own schema.
FITTING: dict[str, dict[str, Any]] = {
    "reader field missing default": {"note": "paid twice"},
    "type mismatch": {"purchase_tier": "10"},
}
NOTE = add_field(name="note", type=["null", "string"], default=None)


def test_a_new_optional_field_is_released_with_the_next_id(schemas: Path) -> None:
    add_version(schemas, NOTE, example=lambda event: event.update(note="paid twice"))

    assert [version.key for version in release(schemas)] == ["payment_succeeded/2"]

    assert check_schemas(schemas) == []
    assert orjson.loads((schemas / "ids.json").read_bytes())["payment_succeeded/2"] == 7


@pytest.mark.parametrize(
    ("change", "says"),
    [
        pytest.param(
            add_field(name="note", type="string"),
            "reader field missing default",
            id="required field",
        ),
        pytest.param(drop_field("payment_id"), "reader field missing default", id="dropped field"),
        pytest.param(retype("purchase_tier", "string"), "type mismatch", id="another type"),
        pytest.param(retype("purchase_tier", "long"), "payment_succeeded/1 cannot read", id="wider type"),
        pytest.param(retype("event_id", "string"), "event_id was uuid and is now None", id="lost logical type"),
        pytest.param(lambda schema: schema.update(name="Paid"), "must be coursepay.PaymentSucceeded", id="renamed"),
        pytest.param(
            add_field(name="more", type=["null", "PaymentSucceeded"], default=None), "contains itself", id="recursive"
        ),
        pytest.param(
            add_field(name="more", type={"type": "array", "items": "null"}, default=[]), "take no bytes", id="zero size"
        ),
        pytest.param(
            add_field(
                name="more",
                type={"type": "array", "items": {"type": "record", "name": "Nothing", "fields": []}},
                default=[],
            ),
            "take no bytes",
            id="zero-size record",
        ),
    ],
)
def test_a_change_that_some_reader_cannot_follow_is_refused_and_leaves_nothing(
    schemas: Path, change: Change, says: str
) -> None:
    add_version(schemas, change, example=lambda event: event.update(FITTING.get(says, {})))
    before = {path: path.read_bytes() for path in schemas.rglob("*") if path.is_file()}

    with pytest.raises(ConfigurationError, match=says):
        release(schemas)

    assert {path: path.read_bytes() for path in schemas.rglob("*") if path.is_file()} == before
    assert check_schemas(schemas) != []


def test_an_edited_release_fails_even_where_the_meaning_stays(schemas: Path) -> None:
    edit(schemas / "payment_succeeded" / "1.avsc", lambda schema: schema.update(doc="a payment"))

    assert check_schemas(schemas) == [
        "payment_succeeded/1 was released and has been edited since; undo that and make a new version"
    ]


def test_a_removed_release_fails(schemas: Path) -> None:
    (schemas / "payment_adjusted" / "1.avsc").unlink()

    findings = check_schemas(schemas)

    assert "payment_adjusted/1 was released and is gone; records of it are still in topics" in findings
    assert "PaymentAdjusted has no schema" in findings


def test_other_golden_bytes_fail(schemas: Path) -> None:
    golden = schemas / "purchase_adjusted" / "1.golden"
    golden.write_text((schemas / "allocation_pending" / "1.golden").read_text())

    assert check_schemas(schemas) == [
        "purchase_adjusted/1 was released and has been edited since; undo that and make a new version"
    ]


def test_an_example_that_is_not_what_the_bytes_say_fails(schemas: Path) -> None:
    edit(schemas / "payment_succeeded" / "1.example.json", lambda event: event["schedule"].update(time_slot="19:00"))

    assert check_schemas(schemas) == [
        "payment_succeeded/1: today's reader sees another schedule.time_slot in the golden bytes than the example says"
    ]


def test_an_id_that_two_schemas_share_fails(schemas: Path) -> None:
    edit(schemas / "ids.json", lambda ids: ids.update({"payment_adjusted/1": 1}))

    assert check_schemas(schemas) == ["ids.json: each id is used once, counting up from 1"]


def test_a_gap_between_versions_fails(schemas: Path) -> None:
    add_version(schemas, NOTE)
    (schemas / "payment_succeeded" / "2.avsc").rename(schemas / "payment_succeeded" / "3.avsc")

    assert any("versions are [1, 3]" in finding for finding in check_schemas(schemas))


def test_an_example_with_an_unknown_value_is_refused(schemas: Path) -> None:
    add_version(schemas, NOTE, example=lambda event: event.update(purchase_tier=11))

    with pytest.raises(ConfigurationError, match="refuses its golden bytes: value out of range: purchase_tier"):
        release(schemas)


def test_an_example_that_lacks_a_field_is_refused(schemas: Path) -> None:
    add_version(schemas, NOTE, example=lambda event: event.pop("order_id"))

    with pytest.raises(ConfigurationError, match=r"2\.example\.json does not fit its schema"):
        release(schemas)
