"""Every address, secret and limit; the only reader of the environment (prefix `COURSEPAY_`).

`Settings.from_environment()` is called once in each process's main; everything else gets the values passed.
Limits that nobody should have to tune stand in `limits.py`.
"""

import os
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, EnvSettingsSource, PydanticBaseSettingsSource, SettingsConfigDict

from services.common.errors import ConfigurationError
from services.common.setting_kinds import (
    PREFIX,
    DatabaseUrl,
    Duration,
    Durations,
    Expiry,
    Network,
    Networks,
    SecretFiles,
    Switch,
    Tiers,
    TlsFiles,
    Url,
    parse_duration_s,
    parse_durations_s,
    parse_expiry,
    parse_networks,
)

__all__ = ["PREFIX", "Environment", "Settings", "child_environment", "has_otlp_endpoint", "split_secrets"]


class Environment(StrEnum):
    DEVELOPMENT = "development"
    PRODUCTION = "production"


NO_SECRET = SecretStr("")


class Settings(BaseSettings):
    """One field per environment variable; `description` is what `coursepay settings` prints beside it."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, extra="ignore", frozen=True, env_ignore_empty=True)

    environment: Environment = Field(Environment.DEVELOPMENT, description="development or production")
    state_directory: Path = Field(Path(".coursepay"), description="development key pair and the local stack's data")
    cache_directory: Path | None = Field(None, description="fetched servers; ~/.cache/coursepay, /var/cache as root")
    stack: Literal["docker", "process"] | None = Field(None, description="forces one kind of local stack")

    kafka_bootstrap_servers: str | None = Field(None, description="host:port,... ; empty: the local stack's")
    kafka_security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    kafka_sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] | None = None
    kafka_sasl_username: str | None = None
    kafka_sasl_password: SecretStr = NO_SECRET
    kafka_ssl_ca_location: Path | None = Field(None, description="PEM file of whom to trust; empty: the system's")
    kafka_ssl_certificate_location: Path | None = Field(None, description="PEM file, for a broker that asks for one")
    kafka_ssl_key_location: Path | None = None
    kafka_ssl_key_password: SecretStr = NO_SECRET
    kafka_replication_factor: int = Field(1, ge=1, le=5, description="3 in production")
    kafka_partitions: int = Field(6, ge=1, le=200, description="of each main topic and tier")
    kafka_topic_prefix: str = Field("", pattern=r"^[a-zA-Z0-9_-]{0,40}$", description="keeps tests apart")
    group_protocol: Literal["classic", "consumer"] = Field("classic", description="consumer: KIP-848")

    database_url: DatabaseUrl = Field(NO_SECRET, description="postgresql://user:password@host:port/database")
    database_ssl_mode: Literal["disable", "prefer", "require", "verify-ca", "verify-full"] | None = Field(
        None, description="verify-full in production: encrypted, and with the server of that name"
    )
    database_ssl_ca_location: Path | None = Field(None, description="PEM file of whom to trust")
    database_ssl_certificate_location: Path | None = Field(None, description="PEM file, for a server that asks for one")
    database_ssl_key_location: Path | None = None
    database_ssl_key_password: SecretStr = NO_SECRET
    database_pool_max: int = Field(8, ge=1, le=100, description="connections of one process")
    database_deadline: Duration = Field("5s", description="longest one transaction of a worker may take")

    gateway_host: str = "127.0.0.1"
    gateway_port: int = Field(8080, ge=0, le=65535)
    metrics_port: int = Field(9101, ge=0, le=65535, description="run all counts up from it; 0: any free one")
    max_connections: int = Field(2000, ge=1, le=100_000, description="of a gateway; above it 503 at once")
    rate_limits: Switch = Field("on", description="off lifts the one per caller; bad signatures stay limited")
    trusted_proxies: Networks = Field("", description="comma-separated networks whose X-Forwarded-For is believed")
    cors_origins: str = Field("", description="comma-separated origins that may call the gateway from a browser")

    retry_delays: Tiers = Field("2s,4s,8s", description="topic names follow")
    flood_guard: Switch = "on"
    crash_point: str | None = Field(None, description="dies at this named step; refused in production")
    schema_registry_url: Url | None = None

    confirm_policy: Literal["signature", "capture"] = Field(
        "signature", description="what counts as paid: a signed callback, or only what the provider says it captured"
    )
    razorpay_key_id: str = ""
    razorpay_key_secrets: SecretStr = Field(NO_SECRET, description="comma-separated, the first is current")
    razorpay_webhook_secrets: SecretStr = Field(NO_SECRET, description="comma-separated, the first is current")
    razorpay_base_url: Url = "https://api.razorpay.com"
    stripe_api_key: SecretStr = NO_SECRET
    stripe_webhook_secrets: SecretStr = Field(NO_SECRET, description="comma-separated, the first is current")
    stripe_base_url: Url = "https://api.stripe.com"
    cashfree_client_id: str = ""
    cashfree_client_secrets: SecretStr = Field(NO_SECRET, description="comma-separated, the first is current")
    cashfree_base_url: Url = "https://api.cashfree.com"
    reconcile_delays: Durations = Field("2m,5m,15m,1h,6h,24h,72h", description="when to ask about an unpaid order")
    verify_delay: Duration = Field(
        "30s", description="until the provider is asked about a payment taken on a signature"
    )
    sweep_interval: Duration = Field("24h", description="between two comparisons with all that a provider knows")
    sweep_window: Duration = Field("7d", description="how far back a comparison looks")
    expiry_days: Expiry = Field("10:180,20:270,30:365", description="by tier")

    course_service_url: Url | None = None
    push_url: Url | None = None

    auth_jwks_url: Url | None = Field(None, description="an identity provider's key set")
    auth_public_key_file: Path | None = Field(None, description="PEM; wins over the key set, both over development")
    auth_issuer: str = Field("coursepay", description="a token's `iss` must be this")
    auth_audience: str = Field("coursepay", description="a token's `aud` must hold this")

    log_format: Literal["json", "console"] = "json"
    log_emoji: Switch = "on"
    log_level: Literal["debug", "info", "warning", "error"] = "info"

    @classmethod
    def from_environment(cls, **overrides: object) -> "Settings":
        """Raises ConfigurationError naming the variable when a value is wrong."""
        try:
            return cls(**overrides)  # type: ignore[arg-type]
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            name = PREFIX + "_".join(str(part) for part in first["loc"]).upper()
            raise ConfigurationError(f"{name}: {first['msg'].removeprefix('Value error, ')}") from None

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - pydantic's signature
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        assert isinstance(env_settings, EnvSettingsSource)
        return init_settings, SecretFiles(settings_cls, env_settings.env_vars), env_settings

    @property
    def production(self) -> bool:
        return self.environment is Environment.PRODUCTION

    @property
    def retry_delays_s(self) -> dict[str, float]:
        """Tier name as in the topic -> seconds, in the order of the tiers."""
        return {name: parse_duration_s(name) for name in self.retry_delays.split(",")}

    @property
    def expiry_days_by_tier(self) -> dict[int, int]:
        return parse_expiry(self.expiry_days)

    @property
    def trusted_proxy_networks(self) -> tuple[Network, ...]:
        return parse_networks(self.trusted_proxies)

    @property
    def database_deadline_s(self) -> float:
        return parse_duration_s(self.database_deadline)

    @property
    def reconcile_delays_s(self) -> tuple[float, ...]:
        return parse_durations_s(self.reconcile_delays)

    @property
    def verify_delay_s(self) -> float:
        return parse_duration_s(self.verify_delay)

    @property
    def sweep_interval_s(self) -> float:
        return parse_duration_s(self.sweep_interval)

    @property
    def sweep_window_s(self) -> float:
        return parse_duration_s(self.sweep_window)

    def required_database_url(self) -> str:
        """With what its TLS settings say, so that whoever connects does it alike. Raises ConfigurationError when there
        is none, or when its TLS settings contradict each other.
        """
        url = self.database_url.get_secret_value()
        if not url:
            raise ConfigurationError(f"{PREFIX}DATABASE_URL is not set; `coursepay stack env` prints the local one")
        files = TlsFiles(
            variable=f"{PREFIX}DATABASE_SSL",
            ca=self.database_ssl_ca_location,
            certificate=self.database_ssl_certificate_location,
            key=self.database_ssl_key_location,
            key_password=self.database_ssl_key_password,
        )
        return files.on_url(url, self.database_ssl_mode)

    def required_bootstrap_servers(self) -> str:
        """Raises ConfigurationError when there are none."""
        if not self.kafka_bootstrap_servers:
            raise ConfigurationError(
                f"{PREFIX}KAFKA_BOOTSTRAP_SERVERS is not set; `coursepay stack env` prints the local one"
            )
        return self.kafka_bootstrap_servers


def split_secrets(secrets: SecretStr) -> tuple[bytes, ...]:
    """Comma-separated live secrets, the first is current; empty parts are dropped, so that "" means: switched off."""
    return tuple(part.strip().encode() for part in secrets.get_secret_value().split(",") if part.strip())


def child_environment(values: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment for a child process: ours, with `values` (full variable names) laid over it, also where ours
    names a file for one of them.
    """
    given = values or {}
    ours = {name: value for name, value in os.environ.items() if name.removesuffix("_FILE") not in given}
    return {**ours, **given}


def has_otlp_endpoint() -> bool:
    """Whether OpenTelemetry's own variables name a place for spans; the SDK reads the rest of OTEL_* itself."""
    return bool(os.environ.get("OTEL_EXPORTER_OTLP_ENDPOINT") or os.environ.get("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"))
