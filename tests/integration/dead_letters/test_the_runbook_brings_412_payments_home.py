"""The commands of docs/runbook-replay.md, in their order, against the real purchase worker."""

import re
import shlex
from collections.abc import Sequence
from pathlib import Path

import pytest

from services.common.events import PaymentAdjusted, PaymentSucceeded
from services.common.settings import Settings
from services.engine.outcomes import Batched
from services.operations.replay.choosing.plan import read_plan
from services.purchase_worker.handler import PurchaseHandler
from tests.support.dead_letters import Ran, execute_sql, fetch, run_dlq
from tests.support.engine import dead_letters, put, record_of, running_worker
from tests.support.events import payment_succeeded
from tests.support.eventually import eventually

DOCUMENT = Path(__file__).parents[3] / "docs" / "runbook-replay.md"
BROKEN = 412
# One in eight: below what the flood guard takes for a broken worker.
PAYMENTS = BROKEN * 8
BREAK = "ALTER TABLE student_course_purchases ADD CONSTRAINT no_thirty CHECK (purchase_tier < 30) NOT VALID"
FIX = "ALTER TABLE student_course_purchases DROP CONSTRAINT no_thirty"


def commands() -> Sequence[str]:
    blocks = re.findall(r"```sh\n(.*?)```", DOCUMENT.read_text(), flags=re.DOTALL)
    return [line for block in blocks for line in block.splitlines()]


@pytest.mark.timeout(400)
async def test_the_cause_is_found_fixed_replayed_and_proven(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    handler = PurchaseHandler(settings.expiry_days_by_tier)
    shape = Batched({PaymentSucceeded: handler.payments_succeeded, PaymentAdjusted: handler.payments_adjusted})
    await execute_sql(settings, BREAK)
    async with running_worker(settings, shape):
        payments = [
            payment_succeeded(f"ord_{number}", purchase_tier=30 if number % 8 == 0 else 10)
            for number in range(PAYMENTS)
        ]
        await put(settings, *(record_of(settings, payment) for payment in payments))
        await eventually(lambda: quiet(settings, dead=BROKEN, bought=PAYMENTS - BROKEN), within_s=120, every_s=0.5)
        ran = await follow(settings)
    said = {command: one.out.decode() for command, one in ran.items()}
    assert [(command, one.code, one.errors) for command, one in ran.items() if one.code != 0] == []

    stats = next(text for command, text in said.items() if "dlq stats" in command)
    assert f"purchase-worker: {BROKEN} dead letters" in stats
    assert "CheckViolationError" in stats
    assert "purchase_tier" in next(text for command, text in said.items() if "dlq show" in command)
    closing = next(text for command, text in said.items() if "--canary" in command).splitlines()[-1]
    counts = f"planned {BROKEN}, replayed {BROKEN}, skipped-done 0, parked 0, failed 0, back-in-dlq 0 after"
    assert counts in closing, closing
    assert re.search(rf"done\W+{BROKEN}\b", next(text for command, text in said.items() if "verify" in command))
    [bought] = await fetch(settings, "SELECT count(DISTINCT order_id) AS count FROM student_course_purchases")
    assert bought == {"count": PAYMENTS}
    [left] = await fetch(settings, "SELECT count(*) AS count FROM dead_letters WHERE status = 'unresolved'")
    assert left == {"count": 0}
    assert len(await dead_letters(settings)) == BROKEN
    assert len(read_plan((tmp_path / "plan.json").read_bytes()).items) == BROKEN


async def follow(settings: Settings) -> dict[str, Ran]:
    """Each command with what it came to. PARTITION:OFFSET and RUN are filled in as a person would; the cause is fixed
    before the plan is made.
    """
    ran: dict[str, Ran] = {}
    place, run_id = await first_place(settings), ""
    for command in commands():
        if "dlq plan" in command:
            await execute_sql(settings, FIX)
        filled = command.replace("PARTITION:OFFSET", place).replace("RUN", run_id)
        program, verb, *arguments = shlex.split(filled)
        assert (program, verb) == ("coursepay", "dlq")
        ran[f"{len(ran)} {command}"] = one = await run_dlq(settings, *arguments)
        if "--execute" in arguments and not run_id:
            run_id = re.findall(r"^run (\S+) ", one.out.decode(), flags=re.MULTILINE)[-1]
    return ran


async def first_place(settings: Settings) -> str:
    record = (await dead_letters(settings))[0]
    return f"{record.partition}:{record.offset}"


async def quiet(settings: Settings, *, dead: int, bought: int) -> bool:
    [row] = await fetch(settings, "SELECT count(*) AS count FROM student_course_purchases")
    return row["count"] == bought and len(await dead_letters(settings)) == dead
