"""What one side may send the other must take; nothing is skipped, and nothing dead disappears by itself."""

from services.common.kafka_config import consumer_config, producer_config
from services.common.limits import HEADERS_BYTES_MAX, RECORD_BYTES_MAX
from services.common.settings import Settings
from services.common.topics import WORKERS, Topics

SETTINGS = Settings(kafka_bootstrap_servers="127.0.0.1:1")
TOPICS = Topics.of(SETTINGS)
MANIFEST = {spec.name: spec.config for spec in TOPICS.manifest()}
ENDS = [topic for worker in WORKERS for topic in (TOPICS.dead_letters(worker), TOPICS.parked(worker))]
COPIES = [*ENDS, *(tier for worker in WORKERS for tier in TOPICS.tiers(worker))]


def test_a_copy_with_its_headers_fits_and_our_producers_send_it() -> None:
    sizes = {int(MANIFEST[topic]["max.message.bytes"]) for topic in COPIES}
    assert sizes == {producer_config(SETTINGS, "test")["message.max.bytes"]}
    assert min(sizes) >= RECORD_BYTES_MAX + 64 * 1024 + HEADERS_BYTES_MAX
    mains = {int(spec["max.message.bytes"]) for topic, spec in MANIFEST.items() if topic not in COPIES}
    assert mains == {RECORD_BYTES_MAX}


def test_dead_letters_are_kept_until_somebody_purges_them() -> None:
    assert {MANIFEST[topic]["retention.ms"] for topic in ENDS} == {"-1"}
    assert {config["cleanup.policy"] for config in MANIFEST.values()} == {"delete"}
    # A producer's clock cannot date a copy into the past, where retention would take it.
    assert {MANIFEST[topic]["message.timestamp.type"] for topic in COPIES} == {"LogAppendTime"}


def test_a_group_without_positions_begins_with_the_first_record_and_commits_only_by_us() -> None:
    for protocol in ("classic", "consumer"):
        config = consumer_config(SETTINGS.model_copy(update={"group_protocol": protocol}), "group")
        assert config["auto.offset.reset"] == "earliest"
        assert config["enable.auto.commit"] is config["enable.auto.offset.store"] is False


def test_what_the_new_group_protocol_refuses_is_left_out() -> None:
    config = consumer_config(SETTINGS.model_copy(update={"group_protocol": "consumer"}), "group")
    assert not config.keys() & {"session.timeout.ms", "heartbeat.interval.ms", "partition.assignment.strategy"}


def test_a_dead_worker_is_noticed_in_time() -> None:
    config = consumer_config(SETTINGS, "group")
    assert int(config["session.timeout.ms"]) + int(config["heartbeat.interval.ms"]) <= 10_000
