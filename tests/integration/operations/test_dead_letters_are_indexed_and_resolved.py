"""Every dead letter has a row, a copy counts once, and what was done since no longer matters."""

from typing import Any, cast

import pytest

from services.common.codec import Codec, load_codec
from services.common.database import Database, Row
from services.common.events import Event, purchase_id_of
from services.common.settings import Settings
from services.common.topics import Topics
from services.engine.records import OutgoingRecord
from services.operations.dead_letter_index import UNINDEXABLE, DeadLetterIndex
from tests.support.events import payment_adjusted, payment_succeeded, purchase_created
from tests.support.kafka import send, text_headers

CODEC = load_codec()
_PURCHASE = """
INSERT INTO student_course_purchases
       (id, order_id, student_id, course_id, purchase_tier, sessions_total, purchase_date, expiry_date)
VALUES ($1, $2, 'student-1', 'course-0001', 10, 10, now(), now() + interval '1 day')
"""
_ALLOCATION = """
INSERT INTO trainer_allocations (purchase_id, student_id, course_id, status)
VALUES ($1, 'student-1', 'course-0001', 'pending')
"""
_NOTIFICATION = """
INSERT INTO notifications (event_id, order_id, student_id, event_type, status, error)
VALUES ($1, $2, 'student-1', 'PurchaseCreated', $3, $4)
"""


@pytest.fixture
def index(settings: Settings, database: Database) -> DeadLetterIndex:
    return DeadLetterIndex(settings, database, CODEC)


class Letters:
    """Writes dead letters as a worker does, and reads their rows."""

    def __init__(self, settings: Settings, owner: Database) -> None:
        self.settings = settings
        self.topics = Topics.of(settings)
        self.owner = owner

    async def bury(self, worker: str, event: Event, **headers: str | int) -> None:
        await self.bury_bytes(worker, event.order_id.encode(), CODEC.encode_framed(event), **headers)

    async def bury_bytes(self, worker: str, key: bytes, value: bytes, **headers: str | int) -> None:
        ours = {"error_kind": "transient", "error_class": "DeadlockDetectedError", "error_fingerprint": "f1"}
        all_headers = text_headers(**{**ours, "worker": worker, **headers})
        record = OutgoingRecord(topic=self.topics.dead_letters(worker), key=key, value=value, headers=all_headers)
        await send(self.settings, [record])

    async def rows(self) -> list[Row]:
        async with self.owner.connection() as connection:
            rows: list[Row] = await connection.fetch("SELECT * FROM dead_letters ORDER BY id")
            return rows

    async def statuses(self) -> list[str]:
        return [row["status"] for row in await self.rows()]

    async def run(self, statement: str, *arguments: Any) -> None:  # noqa: ANN401 - whatever the statement takes
        async with self.owner.connection() as connection:
            await connection.execute(statement, *arguments)


@pytest.fixture
def letters(settings: Settings, owner: Database) -> Letters:
    return Letters(settings, owner)


async def test_a_row_has_what_the_record_tells(letters: Letters, index: DeadLetterIndex) -> None:
    event = payment_succeeded("ord_1")
    origin: dict[str, str | int] = {
        "origin_topic": f"{letters.topics.prefix}payment.succeeded",
        "origin_partition": 1,
        "origin_offset": 42,
        "retry_attempt": 3,
        "error_message": "deadlock\0detected",
        "last_failed_ms": 1_800_000_000_123,
    }
    await letters.bury("purchase-worker", event, **origin)
    await index.update()
    (row,) = await letters.rows()
    assert (row["worker"], row["order_id"], row["event_type"]) == ("purchase-worker", "ord_1", "PaymentSucceeded")
    assert (row["error_kind"], row["error_class"], row["fingerprint"]) == ("transient", "DeadlockDetectedError", "f1")
    assert (row["origin_partition"], row["origin_offset"], row["retry_attempt"]) == (1, 42, 3)
    assert row["error_message"] == "deadlockdetected"
    assert row["dead_at"].timestamp() == 1_800_000_000.123
    assert row["event_id"] == event.event_id
    assert row["status"] == "unresolved"


async def test_looking_again_adds_only_what_is_new(letters: Letters, index: DeadLetterIndex) -> None:
    await letters.bury("purchase-worker", payment_succeeded("ord_1"))
    await index.update()
    await index.update()
    await letters.bury("purchase-worker", payment_succeeded("ord_2"))
    await letters.bury("notifier", purchase_created("ord_1"))
    await index.update()
    assert sorted((row["worker"], row["order_id"]) for row in await letters.rows()) == [
        ("notifier", "ord_1"),
        ("purchase-worker", "ord_1"),
        ("purchase-worker", "ord_2"),
    ]


async def test_records_that_are_no_events_of_ours_have_rows_too(letters: Letters, index: DeadLetterIndex) -> None:
    await letters.bury_bytes("purchase-worker", b"ord_9", b"nonsense", error_kind="poison")
    await letters.bury_bytes("purchase-worker", b"\xff\x00", b"nonsense", error_kind="strange", origin_offset="x")
    await index.update()
    first, second = sorted(await letters.rows(), key=lambda row: row["error_kind"])
    assert (first["order_id"], first["error_kind"], first["event_type"]) == ("ord_9", "poison", None)
    assert (second["order_id"], second["error_kind"], second["origin_offset"]) == (None, "unknown", None)


async def test_headers_too_long_for_an_index_are_cut_and_hold_up_no_other_letter(
    letters: Letters, index: DeadLetterIndex
) -> None:
    # Not the same character again and again: PostgreSQL would compress that.
    long = "".join(chr(0x4E00 + number * 7) for number in range(1_000))
    names = ("error_fingerprint", "error_class", "error_message", "replay_id", "origin_topic", "traceparent")
    foreign: dict[str, str | int] = {**dict.fromkeys(names, long), "origin_partition": 0, "origin_offset": 1}
    await letters.bury_bytes("purchase-worker", b"ord_1", b"nonsense", **foreign)
    await letters.bury("notifier", purchase_created("ord_2"))
    await index.update()
    other, cut = sorted(await letters.rows(), key=lambda row: row["worker"])
    assert other["order_id"] == "ord_2"
    assert long.startswith(cut["fingerprint"])
    columns = ("fingerprint", "error_class", "error_message", "replay_id", "origin_topic", "traceparent")
    assert [len(cut[name].encode()) for name in columns] == [63, 99, 510, 126, 249, 126]


async def test_a_letter_that_cannot_be_stored_has_a_bare_row_and_holds_up_no_other(
    letters: Letters, index: DeadLetterIndex
) -> None:
    await letters.run("ALTER TABLE dead_letters ADD CHECK (error_class <> 'Cursed')")
    for order_id, error_class in (("ord_1", "Sound"), ("ord_2", "Cursed"), ("ord_3", "Sound")):
        await letters.bury("purchase-worker", payment_succeeded(order_id), error_class=error_class)
    await index.update()
    await index.update()
    rows = sorted(await letters.rows(), key=lambda row: row["order_id"] or "")
    assert [(row["order_id"], row["error_class"]) for row in rows] == [
        (None, UNINDEXABLE),
        ("ord_1", "Sound"),
        ("ord_3", "Sound"),
    ]
    assert {row["status"] for row in rows} == {"unresolved"}


async def test_a_letter_that_cannot_be_read_has_a_bare_row_and_holds_up_no_other(
    letters: Letters, settings: Settings, database: Database
) -> None:
    class Stumbling:
        def decode(self, value: bytes | None, key: bytes | None) -> Event:
            if key == b"ord_1":
                raise OverflowError
            return CODEC.decode(value, key)

    for order_id in ("ord_1", "ord_2"):
        await letters.bury("purchase-worker", payment_succeeded(order_id))
    await DeadLetterIndex(settings, database, cast("Codec", Stumbling())).update()
    found = {(row["order_id"], row["error_class"]) for row in await letters.rows()}
    assert found == {(None, UNINDEXABLE), ("ord_2", "DeadlockDetectedError")}


async def test_a_copy_of_a_dead_letter_counts_once_but_a_replay_that_came_back_is_new(
    letters: Letters, index: DeadLetterIndex
) -> None:
    origin: dict[str, str | int] = {"origin_topic": "payment.succeeded", "origin_partition": 0, "origin_offset": 7}
    event = payment_succeeded("ord_1")
    await letters.bury("purchase-worker", event, **origin)
    await letters.bury("purchase-worker", event, **origin)
    await letters.bury("purchase-worker", event, **origin, replay_id="run-1", replay_count=1)
    await index.update()
    assert await letters.statuses() == ["unresolved", "resolved", "unresolved"]
    assert (await letters.rows())[2]["replay_count"] == 1


async def test_a_purchase_resolves_its_payment_but_not_poison(letters: Letters, index: DeadLetterIndex) -> None:
    await letters.bury("purchase-worker", payment_succeeded("ord_1"))
    await letters.bury("purchase-worker", payment_succeeded("ord_1"), error_kind="poison")
    await index.update()
    assert await letters.statuses() == ["unresolved", "unresolved"]
    await letters.run(_PURCHASE, purchase_id_of("ord_1"), "ord_1")
    await index.update()
    assert sorted((row["error_kind"], row["status"]) for row in await letters.rows()) == [
        ("poison", "unresolved"),
        ("transient", "resolved"),
    ]


async def test_a_change_is_resolved_by_itself_or_a_newer_one(letters: Letters, index: DeadLetterIndex) -> None:
    await letters.run(_PURCHASE, purchase_id_of("ord_1"), "ord_1")
    await letters.bury("purchase-worker", payment_adjusted("ord_1", sequence=2))
    await letters.run("UPDATE student_course_purchases SET applied_sequence = 1")
    await index.update()
    assert await letters.statuses() == ["unresolved"]
    await letters.run("UPDATE student_course_purchases SET applied_sequence = 3")
    await index.update()
    assert await letters.statuses() == ["resolved"]


async def test_an_allocation_resolves_the_assignment_only(letters: Letters, index: DeadLetterIndex) -> None:
    event = purchase_created("ord_1")
    await letters.run(_PURCHASE, event.purchase_id, "ord_1")
    await letters.bury("assignment-worker", event)
    await letters.bury("notifier", event)
    await index.update()
    assert await letters.statuses() == ["unresolved", "unresolved"]
    await letters.run(_ALLOCATION, event.purchase_id)
    await index.update()
    assert {row["worker"]: row["status"] for row in await letters.rows()} == {
        "assignment-worker": "resolved",
        "notifier": "unresolved",
    }


async def test_a_message_that_was_sent_resolves_its_own_dead_letter(letters: Letters, index: DeadLetterIndex) -> None:
    sent, failed = purchase_created("ord_1"), purchase_created("ord_2")
    for event in (sent, failed):
        await letters.bury("notifier", event)
    await letters.run(_NOTIFICATION, sent.event_id, "ord_1", "sent", None)
    await letters.run(_NOTIFICATION, failed.event_id, "ord_2", "failed", "Http500")
    await index.update()
    assert {row["order_id"]: row["status"] for row in await letters.rows()} == {
        "ord_1": "resolved",
        "ord_2": "unresolved",
    }


async def test_what_a_person_decided_stays(letters: Letters, index: DeadLetterIndex) -> None:
    await letters.bury("purchase-worker", payment_succeeded("ord_1"))
    await index.update()
    await letters.run("UPDATE dead_letters SET status = 'discarded', settled_at = now()")
    await letters.run(_PURCHASE, purchase_id_of("ord_1"), "ord_1")
    await index.update()
    assert await letters.statuses() == ["discarded"]
