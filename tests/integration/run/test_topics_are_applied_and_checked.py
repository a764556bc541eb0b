"""`coursepay topics` as an operator runs it."""

import asyncio
from pathlib import Path

import orjson

from services.common.settings import Settings
from services.common.topic_admin import delete_topics
from services.common.topics import Topics
from services.engine.records import OutgoingRecord
from services.sandbox.ports import free_ports
from tests.support.command import run_coursepay
from tests.support.kafka import send


def environment_of(settings: Settings, **overrides: str) -> dict[str, str]:
    values = {
        "kafka_bootstrap_servers": settings.required_bootstrap_servers(),
        "kafka_topic_prefix": settings.kafka_topic_prefix,
        "kafka_partitions": str(settings.kafka_partitions),
        "retry_delays": settings.retry_delays,
    }
    return values | overrides


async def test_a_manifest_that_is_applied_passes_the_check(settings: Settings, tmp_path: Path) -> None:
    values = environment_of(settings, retry_delays="2s,4s,8s,16s")
    applied = await asyncio.to_thread(run_coursepay, "topics", "apply", "--json", directory=tmp_path, **values)
    workers = ("assignment-worker", "notifier", "purchase-worker")
    expected = [f"{settings.kafka_topic_prefix}{worker}.retry.16s" for worker in workers]
    assert orjson.loads(applied.stdout) == {"created": expected}
    checked = await asyncio.to_thread(run_coursepay, "topics", "check", directory=tmp_path, **values)
    assert checked.returncode == 0
    assert checked.stdout.strip() == "the cluster is as the manifest says"
    await delete_topics(settings.model_copy(update={"retry_delays": "16s"}))


async def test_what_differs_is_named_and_the_exit_code_is_1(settings: Settings, tmp_path: Path) -> None:
    retired = Topics.of(settings).retry("notifier", "8s")
    await send(settings, [OutgoingRecord(topic=retired, key=b"ord_1", value=b"")])
    values = environment_of(settings, kafka_partitions="3", retry_delays="2s,4s,16s")
    checked = await asyncio.to_thread(run_coursepay, "topics", "check", "--json", directory=tmp_path, **values)
    assert checked.returncode == 1
    told = {row["topic"]: row["what"] for row in orjson.loads(checked.stdout)["differences"]}
    assert told[f"{settings.kafka_topic_prefix}payment.succeeded"] == "has 2 partitions instead of 3"
    assert told[f"{settings.kafka_topic_prefix}notifier.retry.16s"] == "is missing"
    assert told[retired] == "is a retired tier that still holds 1 records"


async def test_a_cluster_that_does_not_answer_is_one_sentence(settings: Settings, tmp_path: Path) -> None:
    (nobody,) = free_ports(1)
    values = environment_of(settings, kafka_bootstrap_servers=f"127.0.0.1:{nobody}")
    checked = await asyncio.to_thread(run_coursepay, "topics", "check", directory=tmp_path, **values)
    assert checked.returncode == 1
    assert "Traceback" not in checked.stderr
    assert checked.stderr.strip().count("\n") == 0
