"""Poison and permanent failures use no retry; their bytes arrive untouched."""

import dataclasses

from services.common.codec import load_codec
from services.common.errors import PermanentError
from services.common.events import PaymentSucceeded
from services.common.settings import Settings
from services.common.topics import Topics
from services.engine.records import OutgoingRecord, Record
from tests.support.engine import (
    WORKER,
    Notebook,
    dead_letters,
    execute,
    handled,
    is_idle,
    on_tier,
    put,
    record_of,
    running_worker,
)
from tests.support.events import payment_adjusted, payment_succeeded
from tests.support.eventually import eventually
from tests.support.kafka import send_with_header_name


async def test_poison_goes_to_the_dead_letters_with_its_raw_bytes(ladder: Settings) -> None:
    topic = Topics.of(ladder).main(PaymentSucceeded)
    good = load_codec().encode_framed(payment_succeeded("ord_1"))
    poison: list[tuple[bytes | None, bytes | None]] = [
        (b"ord_1", None),
        (None, good),
        (b"ord_1", b""),
        (b"ord_1", b"\x01" + good[1:]),
        (b"ord_1", good[:-3]),
        (b"ord_1", good + b"\x00"),
        (b"ord_2", good),
        (b"ord_1", load_codec().encode_framed(payment_succeeded("ord_1", purchase_tier=11))),
        (b"ord_1", load_codec().encode_framed(payment_adjusted("ord_1"))),
    ]
    await put(ladder, *(OutgoingRecord(topic=topic, key=key, value=value) for key, value in poison))
    await put(ladder, record_of(ladder, payment_succeeded("ord_9")))

    async with running_worker(ladder, Notebook().shape):
        letters = await eventually(lambda: _all(ladder, len(poison)), every_s=0.5)
        await eventually(lambda: is_idle(ladder), every_s=0.5)

    assert sorted(map(repr, poison)) == sorted(repr((letter.key, letter.value)) for letter in letters)
    assert {letter.header("error-kind") for letter in letters} == {"poison"}
    assert {letter.header("retry-attempt") for letter in letters} == {"0"}
    assert await handled(ladder.required_database_url()) == {"ord_9": 1}
    assert await on_tier(ladder, "200ms") == []


async def test_a_header_name_that_is_no_text_makes_a_dead_letter_of_its_record_wherever_it_lies(
    ladder: Settings,
) -> None:
    topics = Topics.of(ladder)
    bad, good = (record_of(ladder, payment_succeeded(order)) for order in ("ord_bad", "ord_good"))
    for topic in (bad.topic, topics.retry(WORKER, "200ms"), topics.dead_letters(WORKER)):
        await send_with_header_name(ladder, dataclasses.replace(bad, topic=topic), b"caf\xe9")
    await put(ladder, good)

    async with running_worker(ladder, Notebook().shape):
        letters = await eventually(lambda: _all(ladder, 3), every_s=0.5)
        await eventually(lambda: is_idle(ladder), every_s=0.5)

    assert {(letter.key, letter.value) for letter in letters} == {(bad.key, bad.value)}
    told = sorted((letter.header("error-kind"), letter.header("error-class")) for letter in letters if letter.headers)
    assert told == [("poison", "BadHeaders")] * 2
    assert await handled(ladder.required_database_url()) == {"ord_good": 1}


async def test_a_permanent_failure_uses_no_retry(ladder: Settings) -> None:
    notebook = Notebook(failing={"ord_1": PermanentError("a constraint says no", cause_class="CheckViolationError")})
    await put(ladder, record_of(ladder, payment_succeeded("ord_1")))

    async with running_worker(ladder, notebook.shape):
        (letter,) = await eventually(lambda: dead_letters(ladder), every_s=0.5)

    assert (letter.header("error-kind"), letter.header("retry-attempt")) == ("permanent", "0")
    assert notebook.tries("ord_1") == 1


async def test_the_row_that_postgresql_names_is_found_without_a_search(ladder: Settings) -> None:
    notebook = Notebook()
    await execute(ladder.required_database_url(), "ALTER TABLE handled ADD CHECK (order_id <> 'ord_77')")
    await put(ladder, *(record_of(ladder, payment_succeeded(f"ord_{number}")) for number in range(200)))

    async with running_worker(ladder, notebook.shape):
        (letter,) = await eventually(lambda: dead_letters(ladder), every_s=0.5)
        await eventually(lambda: is_idle(ladder), every_s=0.5)

    assert (letter.key, letter.header("error-class")) == (b"ord_77", "CheckViolationError")
    assert len(await handled(ladder.required_database_url())) == 199
    together, alone = (batch for batch in notebook.batches if "ord_77" in batch)
    assert (len(together) > 8, alone) == (True, ["ord_77"])


async def test_a_schema_that_only_a_newer_writer_knows_is_retried(ladder: Settings) -> None:
    good = record_of(ladder, payment_succeeded("ord_1"))
    assert good.value is not None
    newer = OutgoingRecord(topic=good.topic, key=good.key, value=b"\x00\x00\x00\x03\xe7" + good.value[5:])
    await put(ladder, newer)

    async with running_worker(ladder, Notebook().shape):
        (letter,) = await eventually(lambda: dead_letters(ladder), every_s=0.5)

    assert (letter.header("error-kind"), letter.header("error-class")) == ("transient", "UnknownSchema")
    assert letter.header("retry-attempt") == "3"
    assert letter.value == newer.value


async def _all(settings: Settings, count: int) -> list[Record]:
    letters = await dead_letters(settings)
    assert len(letters) == count
    return letters
