"""A record that keeps failing is retried after each delay, never early, and ends among the dead letters."""

from services.common.errors import TransientError
from services.common.settings import Settings
from services.engine.records import Record
from tests.support.engine import (
    Notebook,
    dead_letters,
    free_port,
    handled,
    is_idle,
    on_tier,
    put,
    record_of,
    running_worker,
    sample_of,
)
from tests.support.events import payment_succeeded
from tests.support.eventually import eventually

TRACE = b"00-0123456789abcdef0123456789abcdef-0123456789abcdef-01"
# Of a machine that does other things too; how late it is by itself is measured by bench/.
LATENESS_MS_MAX = 10_000


async def test_a_failing_record_is_retried_after_each_delay_and_then_dead(ladder: Settings) -> None:
    notebook = Notebook(failing={"ord_bad": TransientError("not now", cause_class="Example")})
    good = [record_of(ladder, payment_succeeded(f"ord_{number}")) for number in range(40)]
    bad = record_of(ladder, payment_succeeded("ord_bad"), headers=(("traceparent", TRACE), ("theirs", b"\xff")))
    await put(ladder, *good[:20], bad, *good[20:])

    async with running_worker(ladder, notebook.shape):
        letter = (await eventually(lambda: dead_letters(ladder), every_s=0.5))[0]
        await eventually(lambda: is_idle(ladder), every_s=0.5)

    hops = [hop for tier in ladder.retry_delays_s for hop in await on_tier(ladder, tier)]
    assert [hop.header("retry-attempt") for hop in (*hops, letter)] == ["1", "2", "3", "3"]
    for hop, next_hop, delay_s in zip(hops, (*hops[1:], letter), ladder.retry_delays_s.values(), strict=True):
        due_ms = _number(hop, "retry-due-ms")
        assert delay_s * 1000 <= due_ms - _number(hop, "last-failed-ms") <= delay_s * 1100 + 1
        assert due_ms <= _number(next_hop, "last-failed-ms") <= due_ms + LATENESS_MS_MAX
        assert hop.header("origin-topic") == bad.topic
    assert {(hop.key, hop.value) for hop in (*hops, letter)} == {(bad.key, bad.value)}
    assert {hop.header("traceparent") for hop in (*hops, letter)} == {TRACE.decode()}
    assert dict(letter.headers)["theirs"] == b"\xff"
    assert (letter.header("error-kind"), letter.header("error-class")) == ("transient", "Example")
    assert letter.header("retry-due-ms") is None
    assert await handled(ladder.required_database_url()) == {f"ord_{number}": 1 for number in range(40)}


async def test_a_record_that_works_on_its_second_retry_is_handled_once_and_is_no_dead_letter(ladder: Settings) -> None:
    notebook = Notebook(failing={"ord_1": TransientError("not now")}, failures={"ord_1": 2})
    await put(ladder, record_of(ladder, payment_succeeded("ord_1")))

    async with running_worker(ladder, notebook.shape):
        await eventually(lambda: notebook.tries("ord_1") == 3)
        await eventually(lambda: is_idle(ladder), every_s=0.5)

    assert await handled(ladder.required_database_url()) == {"ord_1": 1}
    assert await dead_letters(ladder) == []
    assert await on_tier(ladder, "800ms") == []


async def test_what_a_handler_did_not_expect_is_retried_too(ladder: Settings) -> None:
    notebook = Notebook(failing={"ord_1": KeyError("a mistake")})
    await put(ladder, record_of(ladder, payment_succeeded("ord_1")))

    async with running_worker(ladder, notebook.shape):
        letter = (await eventually(lambda: dead_letters(ladder), every_s=0.5))[0]

    assert (letter.header("error-kind"), letter.header("error-class")) == ("transient", "KeyError")
    assert "in handle" in (letter.header("error-stack") or "")


async def test_a_record_that_takes_too_long_is_retried_while_others_are_served(ladder: Settings) -> None:
    own = ladder.model_copy(update={"database_deadline": "1s", "metrics_port": free_port()})
    notebook = Notebook(slow_s=3.0)
    await put(own, record_of(own, payment_succeeded("ord_slow")))

    async with running_worker(own, notebook.shape):
        (letter,) = await eventually(lambda: dead_letters(own), within_s=60, every_s=0.5)
        assert await sample_of(own, "coursepay_worker_paused", reason="dependency") == 0

    assert (letter.header("error-kind"), letter.header("error-class")) == ("transient", "DeadlineError")
    assert letter.header("retry-attempt") == "3"


def _number(record: Record, name: str) -> int:
    return int(record.header(name) or -1)
