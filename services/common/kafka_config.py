"""What every librdkafka client of ours is configured with: address, security, and limits. A plain dict, no client."""

from services.common.settings import Settings

Config = dict[str, str | int | float | bool]


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
