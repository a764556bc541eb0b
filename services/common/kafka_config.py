"""What librdkafka's clients are configured with, each option with its reason. Plain dicts, no client."""

from services.common.limits import DEAD_LETTER_BYTES_MAX, DELIVERY_TIMEOUT_S, REVOKE_BUDGET_S, SESSION_TIMEOUT_S
from services.common.settings import Settings

Config = dict[str, str | int | float | bool]
_IN_FLIGHT_RECORDS_MAX = 20_000
_IN_FLIGHT_KIB_MAX = 32 * 1024
_FETCHED_RECORDS = 10_000
_FETCHED_KIB_MAX = 16 * 1024


def client_config(settings: Settings, client_id: str) -> Config:
    """Raises ConfigurationError when there is no address."""
    config: Config = {
        "bootstrap.servers": settings.required_bootstrap_servers(),
        "client.id": client_id,
        "security.protocol": settings.kafka_security_protocol,
        # librdkafka's default of 5 minutes hides a restarted broker's new metadata for too long.
        "topic.metadata.refresh.interval.ms": 30_000,
        # Reconnect soon after an outage: lag must be 0 again within 30 s of a restart.
        "reconnect.backoff.ms": 50,
        "reconnect.backoff.max.ms": 1_000,
        "log.connection.close": False,
        # One line per lost connection attempt would flood the log during an outage; errors reach error_cb.
        "log_level": 2,
    }
    if settings.kafka_sasl_mechanism:
        config["sasl.mechanism"] = settings.kafka_sasl_mechanism
        config["sasl.username"] = settings.kafka_sasl_username or ""
        config["sasl.password"] = settings.kafka_sasl_password.get_secret_value()
    if settings.kafka_ssl_ca_location:
        config["ssl.ca.location"] = settings.kafka_ssl_ca_location
    return config


def producer_config(settings: Settings, client_id: str) -> Config:
    return {
        **client_config(settings, client_id),
        # An acknowledgement means: on every in-sync replica (min.insync.replicas is the topic's).
        "acks": "all",
        # librdkafka's own retries neither double nor reorder.
        "enable.idempotence": True,
        # Then the caller hears of it and decides; librdkafka's default of 5 minutes would hide an outage.
        "delivery.timeout.ms": int(DELIVERY_TIMEOUT_S * 1000),
        # As large as the dead-letter topics take: librdkafka refuses above 1,000,000 bytes by itself.
        "message.max.bytes": DEAD_LETTER_BYTES_MAX,
        # Bounded memory: when full, `deliver` waits.
        "queue.buffering.max.messages": _IN_FLIGHT_RECORDS_MAX,
        "queue.buffering.max.kbytes": _IN_FLIGHT_KIB_MAX,
        # Callers send groups; waiting longer for company only delays the acknowledgement.
        "linger.ms": 2,
        # Where Java's clients would put the key, so that other tools find it.
        "partitioner": "murmur2_random",
        "compression.type": "lz4",
    }


def consumer_config(settings: Settings, group: str) -> Config:
    config: Config = {
        **client_config(settings, f"coursepay-{group}"),
        "group.id": group,
        # Offsets are committed by us, when what they stand for is finished; never because a record was polled.
        "enable.auto.commit": False,
        "enable.auto.offset.store": False,
        # A group that is new, or whose offsets are gone, must skip nothing.
        "auto.offset.reset": "earliest",
        "allow.auto.create.topics": False,
        # Polls are never further apart than POLL_INTERVAL_S; only a rebalance callback may take its budget.
        "max.poll.interval.ms": int(REVOKE_BUDGET_S * 6 * 1000),
        # A resumed partition waits for the fetch that is under way: at most this long.
        "fetch.wait.max.ms": 50,
        # librdkafka's default stalls for a second after its local queue was full.
        "fetch.queue.backoff.ms": 10,
        # What is fetched ahead: enough for a second, little beside a process that may have 150 MB.
        "queued.min.messages": _FETCHED_RECORDS,
        "queued.max.messages.kbytes": _FETCHED_KIB_MAX,
        # A flipped bit is found here, not in a payment.
        "check.crcs": True,
        "enable.partition.eof": False,
        "isolation.level": "read_committed",
        "group.protocol": settings.group_protocol,
    }
    if settings.group_protocol == "classic":
        # KIP-848 refuses these: there the broker has them (group.consumer.session.timeout.ms).
        config["partition.assignment.strategy"] = "cooperative-sticky"
        config["session.timeout.ms"] = int(SESSION_TIMEOUT_S * 1000)
        config["heartbeat.interval.ms"] = int(SESSION_TIMEOUT_S * 1000 / 3)
    return config
