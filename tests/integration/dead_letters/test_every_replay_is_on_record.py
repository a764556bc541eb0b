from services.common.settings import Settings
from services.operations.replay.targets import PARKED
from tests.support.dead_letters import (
    WORKER,
    bury,
    execute_sql,
    fetch,
    opened,
    replay,
    run_dlq,
    wish,
)


async def test_who_why_and_what_is_in_the_audit_log(settings: Settings) -> None:
    await bury(settings, 3)
    async with opened(settings) as tools:
        report = await replay(tools)
    rows = await fetch(settings, "SELECT actor, action, target, reason, after::text FROM audit_log ORDER BY id")
    assert [(row["actor"], row["action"], row["target"], row["reason"]) for row in rows] == [
        ("ada", "replay.started", str(report.run.id), "the trigger is gone"),
        ("ada", "replay.finished", str(report.run.id), "the trigger is gone"),
    ]
    assert '"replayed": 3' in rows[1]["after"]


async def test_the_chain_of_runs_holds(settings: Settings) -> None:
    await three_runs(settings)
    ran = await run_dlq(settings, "audit", "--json")
    assert (ran.code, ran.json["broken"]) == (0, []), ran.errors
    runs = ran.json["runs"]
    assert [run["target"] for run in runs] == ["first-tier", "parked", "first-tier"]
    assert [run["previous_sha256"] for run in runs] == ["", runs[0]["sha256"], runs[1]["sha256"]]


async def test_an_edited_run_breaks_it(settings: Settings) -> None:
    await three_runs(settings)
    await execute_sql(settings, "UPDATE replay_runs SET reason = 'because' WHERE number = 2")
    ran = await run_dlq(settings, "audit")
    assert ran.code == 4
    assert b"was edited" in ran.out


async def test_an_item_taken_out_breaks_it(settings: Settings) -> None:
    await three_runs(settings)
    await execute_sql(settings, "DELETE FROM replay_items WHERE result = 'parked'")
    ran = await run_dlq(settings, "audit", "--json")
    assert (ran.code, len(ran.json["broken"])) == (4, 1)


async def test_a_run_taken_out_breaks_it(settings: Settings) -> None:
    await three_runs(settings)
    await execute_sql(
        settings,
        "DELETE FROM replay_items USING replay_runs WHERE run_id = replay_runs.id AND number = 2;"
        "DELETE FROM replay_runs WHERE number = 2",
    )
    ran = await run_dlq(settings, "audit", "--json")
    assert (ran.code, len(ran.json["broken"])) == (4, 1)


async def test_discarding_is_a_decision_and_deletes_nothing(settings: Settings) -> None:
    await bury(settings, 3)
    ran = await run_dlq(settings, "discard", WORKER, "--order-id", "ord_1", "--reason", "a test order", "--json")
    assert (ran.code, ran.json["discarded"]) == (0, 1), ran.errors
    statuses = await fetch(settings, "SELECT order_id, status FROM dead_letters ORDER BY 1")
    assert [row["status"] for row in statuses] == ["unresolved", "discarded", "unresolved"]
    [row] = await fetch(settings, "SELECT action, target, reason FROM audit_log")
    assert (row["action"], row["reason"]) == ("dead_letter.discarded", "a test order")
    plan = await run_dlq(settings, "plan", WORKER, "--json")
    assert (plan.json["planned"], plan.json["set_aside"]) == (2, {"discarded": 1})
    back = await run_dlq(settings, "plan", WORKER, "--status", "discarded", "--json")
    assert back.json["planned"] == 1


async def test_parking_from_the_command_line(settings: Settings) -> None:
    await bury(settings, 2)
    ran = await run_dlq(settings, "park", WORKER, "--order-id", "ord_0", "--reason", "ask the bank", "--json")
    assert (ran.code, ran.json["parked"], ran.json["replayed"]) == (0, 1, 0), ran.errors
    again = await run_dlq(settings, "park", WORKER, "--order-id", "ord_0", "--reason", "ask the bank", "--json")
    assert (again.code, again.json["parked"]) == (0, 0)


async def three_runs(settings: Settings) -> None:
    async with opened(settings) as tools:
        await bury(settings, 2)
        await replay(tools)
        await bury(settings, 2, origin_partition=1)
        await replay(tools, wish=wish(PARKED))
        await bury(settings, 2, origin_partition=2)
        await replay(tools)
