"""What librdkafka's clients are configured with, each option with its reason. Plain dicts, no client."""

from services.common.errors import ConfigurationError
from services.common.limits import (
    DEAD_LETTER_BYTES_MAX,
    DELIVERY_TIMEOUT_S,
    HEARTBEAT_INTERVAL_S,
    REVOKE_BUDGET_S,
    SESSION_TIMEOUT_S,
)
from services.common.setting_kinds import PREFIX, TlsFiles
from services.common.settings import Settings

Config = dict[str, str | int | float | bool]
_IN_FLIGHT_RECORDS_MAX = 20_000
_IN_FLIGHT_KIB_MAX = 32 * 1024
_FETCHED_RECORDS = 10_000
_FETCHED_KIB_MAX = 16 * 1024


def client_config(settings: Settings, client_id: str) -> Config:
    """Raises ConfigurationError when there is no address, or when what is said about security makes no sense."""
    config: Config = {
        "bootstrap.servers": settings.required_bootstrap_servers(),
        "client.id": client_id,
        # librdkafka's default of 5 minutes hides a restarted broker's new metadata for too long.
        "topic.metadata.refresh.interval.ms": 30_000,
        # Reconnect soon after an outage: lag must be 0 again within 30 s of a restart.
        "reconnect.backoff.ms": 50,
        "reconnect.backoff.max.ms": 1_000,
        "log.connection.close": False,
        # One line per lost connection attempt would flood the log during an outage; errors reach error_cb.
        "log_level": 2,
    }
    return {**config, **_security(settings)}


def _security(settings: Settings) -> Config:
    """Raises ConfigurationError when settings contradict each other: librdkafka would ignore some of them."""
    protocol = settings.kafka_security_protocol
    return {
        "security.protocol": protocol,
        **(_sasl(settings) if protocol.startswith("SASL_") else _nothing(settings, "SASL_MECHANISM", "SASL_SSL")),
        **(_tls(settings) if protocol.endswith("SSL") else _nothing(settings, "SSL_CA_LOCATION", "SSL or SASL_SSL")),
    }


def _sasl(settings: Settings) -> Config:
    mechanism, username = settings.kafka_sasl_mechanism, settings.kafka_sasl_username
    password = settings.kafka_sasl_password.get_secret_value()
    for name, value in (("MECHANISM", mechanism), ("USERNAME", username), ("PASSWORD", password)):
        if not value:
            raise ConfigurationError(
                f"{PREFIX}KAFKA_SASL_{name} is not set; {settings.kafka_security_protocol} needs it"
            )
    assert mechanism is not None
    assert username is not None
    if mechanism == "PLAIN" and settings.kafka_security_protocol == "SASL_PLAINTEXT" and settings.production:
        raise ConfigurationError(
            f"{PREFIX}KAFKA_SASL_MECHANISM: PLAIN without TLS sends the password readably; use SASL_SSL or SCRAM"
        )
    return {"sasl.mechanism": mechanism, "sasl.username": username, "sasl.password": password}


def _tls(settings: Settings) -> Config:
    files = TlsFiles(
        variable=f"{PREFIX}KAFKA_SSL",
        ca=settings.kafka_ssl_ca_location,
        certificate=settings.kafka_ssl_certificate_location,
        key=settings.kafka_ssl_key_location,
        key_password=settings.kafka_ssl_key_password,
    )
    files.check()
    # That the certificate is the broker's of that name, librdkafka's default, is not left to a default.
    config: Config = {"ssl.endpoint.identification.algorithm": "https", "enable.ssl.certificate.verification": True}
    if files.ca is not None:
        config["ssl.ca.location"] = str(files.ca)
    if files.certificate is not None:
        config["ssl.certificate.location"], config["ssl.key.location"] = str(files.certificate), str(files.key)
        if password := files.key_password.get_secret_value():
            config["ssl.key.password"] = password
    return config


def _nothing(settings: Settings, name: str, protocol: str) -> Config:
    if getattr(settings, f"kafka_{name.lower()}"):
        raise ConfigurationError(
            f"{PREFIX}KAFKA_{name} is set, but {PREFIX}KAFKA_SECURITY_PROTOCOL is {settings.kafka_security_protocol};"
            f" set it to {protocol}"
        )
    return {}


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
        config["heartbeat.interval.ms"] = int(HEARTBEAT_INTERVAL_S * 1000)
    return config
