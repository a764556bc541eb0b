from pathlib import Path

import pytest

from services.common.settings import Settings
from services.common.topics import Topics
from services.operations.topic_reader import read_lag, read_topics
from tests.support.dead_letters import (
    TRACEPARENT,
    WORKER,
    bury,
    buy,
    dead_letter,
    fetch,
    on_first_tier,
    run_dlq,
)
from tests.support.kafka import commit, send


async def test_without_execute_nothing_is_sent(settings: Settings) -> None:
    await bury(settings, 3)
    await bury(settings, 1, replay_count=3, origin_partition=1, order_id="ord_often")
    await buy(settings, ["ord_0"])
    ran = await run_dlq(settings, "replay", WORKER, "--json")
    assert ran.code == 0, ran.errors
    shown = ran.json
    assert (shown["planned"], shown["skipped_done"], shown["to_send"], shown["to_park"]) == (4, 1, 2, 1)
    assert (shown["executed"], shown["replayed"], shown["run"]) == (False, 0, None)
    assert len(shown["plan_sha256"]) == 64
    assert await on_first_tier(settings) == []
    assert await fetch(settings, "SELECT FROM replay_runs") == []


async def test_the_closing_line_says_it_all(settings: Settings) -> None:
    await bury(settings, 3)
    ran = await run_dlq(settings, "replay", WORKER, "--execute", "--reason", "a test", "--actor", "grace")
    assert ran.code == 0, ran.errors
    [row] = await fetch(settings, "SELECT id, actor, plan_sha256 FROM replay_runs")
    closing = ran.out.decode().splitlines()[-1]
    topic = f"{settings.kafka_topic_prefix}{WORKER}.dlq"
    assert closing.startswith(f"run {row['id']} {topic}: planned 3, replayed 3, skipped-done 0, parked 0, failed 0, ")
    assert closing.endswith(f"plan sha256 {row['plan_sha256']}")
    assert row["actor"] == "grace"


async def test_live_consumers_notice_nothing(settings: Settings) -> None:
    topics = Topics.of(settings)
    await bury(settings, 8)
    watched = topics.dead_letters(WORKER)
    await commit(settings, topics.group(WORKER), watched, [1, 1])
    before = await read_lag(settings, topics.group(WORKER), [watched])
    for verb in (("stats",), ("plan",), ("export",), ("replay", "--execute", "--reason", "a test")):
        ran = await run_dlq(settings, verb[0], WORKER, *verb[1:])
        assert ran.code == 0, ran.errors
    assert await read_lag(settings, topics.group(WORKER), [watched]) == before


async def test_a_letter_is_shown_with_its_event_and_its_standing(settings: Settings) -> None:
    await bury(settings, 1)
    await buy(settings, ["ord_0"])
    [record] = await read_topics(settings, [Topics.of(settings).dead_letters(WORKER)])
    ran = await run_dlq(settings, "show", WORKER, f"{record.partition}:{record.offset}", "--json")
    assert ran.code == 0, ran.errors
    shown = ran.json
    assert (shown["event_type"], shown["event"]["amount_minor"]) == ("PaymentSucceeded", 500_000)
    assert (shown["done"], shown["status"]) == (True, "resolved")
    assert shown["trace_id"] == TRACEPARENT.split("-")[1]
    assert shown["headers"]["error-message"] == "a trigger says no"
    people = await run_dlq(settings, "show", WORKER, f"{record.partition}:{record.offset}")
    assert b"PaymentSucceeded" in people.out
    missing = await run_dlq(settings, "show", WORKER, "0:999")
    assert (missing.code, "no record" in missing.errors) == (3, True)


async def test_poison_is_shown_with_what_is_wrong(settings: Settings) -> None:
    await send(settings, [dead_letter(settings, 1, value="garbage", error_kind="poison")])
    [record] = await read_topics(settings, [Topics.of(settings).dead_letters(WORKER)])
    ran = await run_dlq(settings, "show", WORKER, f"{record.partition}:{record.offset}", "--json")
    assert (ran.json["event"], ran.json["undecodable"]) == (None, "not Confluent wire format")


async def test_ls_and_stats_count(settings: Settings) -> None:
    await bury(settings, 5)
    await bury(settings, 2, error_fingerprint="beef", error_class="TypeError", origin_partition=1)
    await buy(settings, ["ord_0"])
    ls = await run_dlq(settings, "ls", "--json")
    depth = {worker["worker"]: worker for worker in ls.json["workers"]}[WORKER]
    assert (depth["records"], depth["last_hour"]) == (7, 7)
    assert depth["statuses"] == {"unresolved": 5, "resolved": 2}
    assert depth["oldest_s"] > 0
    stats = await run_dlq(settings, "stats", WORKER, "--json")
    assert stats.json["by"]["fingerprint"] == {"f00d": 5, "beef": 2}
    assert stats.json["by"]["error_class"] == {"RaiseError": 5, "TypeError": 2}
    assert stats.json["groups"]["beef"]["records"] == 2
    some = await run_dlq(settings, "stats", WORKER, "--where", "error_class == 'TypeError'", "--json")
    assert some.json["records"] == 2
    few = await run_dlq(settings, "stats", WORKER, "--limit", "3", "--json")
    assert few.json["records"] == 3
    for verb in (("ls",), ("stats", WORKER)):
        people = await run_dlq(settings, *verb)
        assert (people.code, people.errors) == (0, "")
        assert people.out


async def test_filters_select_exactly_what_they_say(settings: Settings) -> None:
    await bury(settings, 20)
    records = await read_topics(settings, [Topics.of(settings).dead_letters(WORKER)])
    zero = [record for record in records if record.partition == 0]
    for given, expected in (
        (("--partition", "0"), len(zero)),
        (("--partition", "0", "--from-offset", "2", "--to-offset", "5"), 3),
        (("--order-id", "ord_7"), 1),
        (("--from-time", "1h"), 20),
        (("--to-time", "1h"), 0),
        (("--where", "order_id in ('ord_1', 'ord_2') and amount_minor > 1"), 2),
        (("--limit", "6"), 6),
        (("--replay-count-lt", "1"), 20),
        (("--kind", "poison"), 0),
    ):
        ran = await run_dlq(settings, "plan", WORKER, *given, "--json")
        assert (given, ran.json["planned"]) == (given, expected)


async def test_export_and_import_lose_no_byte(settings: Settings, tmp_path: Path) -> None:
    await bury(settings, 3)
    await send(settings, [dead_letter(settings, 5, value="\x00garbage", x_foreign="\x01")])
    topic = Topics.of(settings).dead_letters(WORKER)
    before = await read_topics(settings, [topic])
    file = tmp_path / "letters.jsonl"
    assert (await run_dlq(settings, "export", WORKER, "--out", str(file))).code == 0
    checked = await run_dlq(settings, "import", WORKER, str(file), "--json")
    assert (checked.json["records"], checked.json["executed"]) == (4, False)
    assert len(await read_topics(settings, [topic])) == 4
    assert (await run_dlq(settings, "import", WORKER, str(file), "--execute")).code == 0
    after = await read_topics(settings, [topic])
    assert len(after) == 8

    def content(record: object) -> object:
        return (record.partition, record.key, record.value, record.headers)  # type: ignore[attr-defined]

    assert sorted(map(content, after)) == sorted([*map(content, before)] * 2)  # type: ignore[type-var]
    file.write_bytes(b"{}\n")
    assert (await run_dlq(settings, "import", WORKER, str(file))).code == 2


@pytest.mark.parametrize("verb", ["plan", "export"])
async def test_a_file_that_cannot_be_written_is_one_sentence(settings: Settings, tmp_path: Path, verb: str) -> None:
    await send(settings, [dead_letter(settings, 1)])
    file = tmp_path / "nowhere" / "x"
    ran = await run_dlq(settings, verb, WORKER, "--out", str(file))
    assert (ran.code, ran.errors.strip()) == (2, f"{file}: No such file or directory")
