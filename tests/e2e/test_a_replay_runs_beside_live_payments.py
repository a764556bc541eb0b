"""Dead letters are replayed while payments keep coming: both arrive, each once, and neither waits for the other."""

import asyncio

import pytest

from services.common.events import PurchaseCreated
from services.common.settings import Settings
from services.operations.__main__ import serve as serve_operations
from services.purchase_worker.__main__ import serve as serve_purchases
from tests.support.dead_letters import execute_sql, fetch, run_dlq
from tests.support.engine import dead_letters, put, record_of
from tests.support.events import payment_succeeded
from tests.support.eventually import eventually
from tests.support.services import events_of, running

BREAK = "ALTER TABLE student_course_purchases ADD CONSTRAINT no_thirty CHECK (purchase_tier < 30) NOT VALID"
FIX = "ALTER TABLE student_course_purchases DROP CONSTRAINT no_thirty"
BROKEN = 40
# One in eight: below what the flood guard takes for a broken worker.
BEFORE = BROKEN * 8
LIVE_A_ROUND = 5


@pytest.mark.timeout(240)
async def test_both_arrive_once(settings: Settings) -> None:
    await execute_sql(settings, BREAK)
    async with running(settings, serve_purchases, serve_operations):
        tiers = [30 if number % 8 == 0 else 10 for number in range(BEFORE)]
        payments = [payment_succeeded(f"ord_{number}", purchase_tier=tier) for number, tier in enumerate(tiers)]
        await put(settings, *(record_of(settings, payment) for payment in payments))
        await eventually(lambda: _has(settings, bought=BEFORE - BROKEN, unresolved=BROKEN), within_s=90, every_s=0.5)
        await execute_sql(settings, FIX)

        replayed = asyncio.Event()
        async with asyncio.TaskGroup() as tasks:
            paying = tasks.create_task(_pay_until(settings, replayed))
            asked = ("--execute", "--reason", "the constraint is gone", "--rate", "10", "--canary", "5", "--json")
            ran = await run_dlq(settings, "replay", "purchase-worker", *asked)
            replayed.set()
        live, done_meanwhile = paying.result()
        verified = await run_dlq(settings, "verify", ran.json["run"], "--wait", "60", "--json")
        await eventually(lambda: _has(settings, bought=BEFORE + live, unresolved=0), within_s=60, every_s=0.5)

    assert (ran.code, ran.json["replayed"], ran.json["back_in_dlq"]) == (0, BROKEN, 0), ran.errors
    assert (verified.code, verified.json["done"]) == (0, BROKEN), verified.errors
    assert done_meanwhile > 0
    created = {event.order_id for event in await events_of(settings, PurchaseCreated)}
    assert created == {f"ord_{number}" for number in range(BEFORE)} | {f"live_{number}" for number in range(live)}
    assert len(await dead_letters(settings)) == BROKEN


async def _pay_until(settings: Settings, replayed: asyncio.Event) -> tuple[int, int]:
    """How many live payments there were, and how many of them had become purchases before the replay ended."""
    live = done = 0
    while not replayed.is_set():
        orders = range(live, live + LIVE_A_ROUND)
        await put(settings, *(record_of(settings, payment_succeeded(f"live_{number}")) for number in orders))
        live += LIVE_A_ROUND
        [row] = await fetch(
            settings, "SELECT count(*) AS count FROM student_course_purchases WHERE order_id LIKE 'live%'"
        )
        done = row["count"]
        await asyncio.sleep(0.2)
    return live, done


async def _has(settings: Settings, *, bought: int, unresolved: int) -> bool:
    [row] = await fetch(
        settings,
        """
        SELECT (SELECT count(*) FROM student_course_purchases) AS bought,
               (SELECT count(*) FROM dead_letters WHERE status = 'unresolved') AS unresolved
        """,
    )
    return (row["bought"], row["unresolved"]) == (bought, unresolved)
