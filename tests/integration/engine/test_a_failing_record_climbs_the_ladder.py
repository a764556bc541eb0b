"""A record that keeps failing is retried after each delay, never early, and ends among the dead letters."""

import pytest

from services.common.errors import TransientError
from services.common.settings import Settings
from tests.support.engine import (
    Notebook,
    dead_letters,
    handled,
    lag,
    make_table,
    on_tier,
    put,
    record_of,
    running_worker,
)
from tests.support.eventually import eventually
from tests.support.events import payment_succeeded

DELAYS_MS = {"2s": 2_000, "4s": 4_000, "8s": 8_000}
TRACE = b"00-0123456789abcdef0123456789abcdef-0123456789abcdef-01"


@pytest.mark.timeout(90)
async def test_a_failing_record_is_retried_after_each_delay_and_then_dead(settings: Settings) -> None:
    await make_table(settings.required_database_url())
    notebook = Notebook(failing={"ord_bad": TransientError("not now", cause_class="Example")})
    good = [record_of(settings, payment_succeeded(f"ord_{number}")) for number in range(40)]
    bad = record_of(settings, payment_succeeded("ord_bad"), headers=(("traceparent", TRACE), ("theirs", b"\xff")))
    await put(settings, *good[:20], bad, *good[20:])

    async with running_worker(settings, notebook.shape):
        letter = (await eventually(lambda: dead_letters(settings), within_s=40))[0]
        assert await eventually(lambda: _is_zero(settings))

    assert (letter.key, letter.value) == (bad.key, bad.value)
    assert letter.header("retry-attempt") == "3"
    assert letter.header("error-class") == "Example"
    assert letter.header("error-kind") == "transient"
    assert letter.header("traceparent") == TRACE.decode()
    assert dict(letter.headers)["theirs"] == b"\xff"
    assert letter.header("retry-due-ms") is None
    failed_ms = int(letter.header("first-failed-ms") or 0)
    for attempt, (tier, delay_ms) in enumerate(DELAYS_MS.items(), start=1):
        (hop,) = await on_tier(settings, tier)
        assert hop.value == bad.value
        assert hop.header("retry-attempt") == str(attempt)
        assert hop.header("origin-topic") == bad.topic
        due_ms = int(hop.header("retry-due-ms") or 0)
        assert failed_ms + delay_ms <= due_ms <= failed_ms + 1.1 * delay_ms + 200
        failed_ms = due_ms
        later = [int(hop.header("last-failed-ms") or 0) for hop in (*await _hops(settings), letter)]
        assert any(due_ms <= at < due_ms + 500 for at in later)
    committed = await handled(settings.required_database_url())
    assert committed == {f"ord_{number}": 1 for number in range(40)}


async def _hops(settings: Settings) -> list:
    return [hop for tier in DELAYS_MS for hop in await on_tier(settings, tier)]


async def _is_zero(settings: Settings) -> bool:
    return await lag(settings) == 0
