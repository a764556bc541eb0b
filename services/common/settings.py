"""Every address, secret and limit; the only reader of the environment (prefix `COURSEPAY_`).

`Settings.from_environment()` is called once in each process's main; everything else gets the values passed.
Limits that nobody should have to tune stand in `limits.py`.
"""

import os
import re
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from services.common.errors import ConfigurationError

PREFIX = "COURSEPAY_"
# Durations as people write them: `250ms`, `2s`, `15m`, `6h`, `7d`.
_UNIT_S = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_DURATION = re.compile(r"^(\d{1,9}(?:\.\d{1,3})?)(ms|s|m|h|d)$")


class Environment(StrEnum):
    DEVELOPMENT = "development"
    PRODUCTION = "production"


def parse_duration_s(text: str) -> float:
    """Seconds. Raises ConfigurationError for anything but a number with one of the units above."""
    match = _DURATION.match(text.strip())
    if match is None:
        raise ConfigurationError(f"{text!r} is no duration; write it like 250ms, 2s, 15m, 6h or 7d")
    return float(match.group(1)) * _UNIT_S[match.group(2)]


def parse_durations_s(text: str) -> tuple[float, ...]:
    """`2s,4s,8s` -> (2.0, 4.0, 8.0)."""
    return tuple(parse_duration_s(part) for part in text.split(",") if part.strip())


def _durations(text: str) -> str:
    try:
        parse_durations_s(text)
    except ConfigurationError as error:
        raise ValueError(str(error)) from error
    return text


def _duration(text: str) -> str:
    if "," in _durations(text) or not text.strip():
        raise ValueError("one duration, like 30s")
    return text


def _tiers(text: str) -> str:
    _durations(text)
    parts = [part.strip() for part in text.split(",") if part.strip()]
    delays = parse_durations_s(text)
    if not 1 <= len(parts) <= 8 or len(set(parts)) != len(parts) or min(delays) <= 0 or max(delays) > 3600:
        raise ValueError("between 1 and 8 different delays, each above 0 and at most 1h, like 2s,4s,8s")
    return ",".join(parts)


def _expiry(text: str) -> str:
    _parse_expiry(text)
    return text


def _parse_expiry(text: str) -> dict[int, int]:
    try:
        days = {int(tier): int(count) for tier, count in (part.split(":") for part in text.split(","))}
    except ValueError:
        days = {}
    if set(days) != {10, 20, 30} or not all(1 <= count <= 3660 for count in days.values()):
        raise ValueError("days for each of the tiers 10, 20 and 30, like 10:180,20:270,30:365")
    return days


Duration = Annotated[str, AfterValidator(_duration)]
Durations = Annotated[str, AfterValidator(_durations)]
Switch = Literal["on", "off"]
Url = Annotated[str, Field(pattern=r"^https?://[^\s]+$", max_length=500)]
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
    kafka_ssl_ca_location: str | None = None
    kafka_replication_factor: int = Field(1, ge=1, le=5, description="3 in production")
    kafka_partitions: int = Field(6, ge=1, le=200, description="of each main topic and tier")
    kafka_topic_prefix: str = Field("", pattern=r"^[a-zA-Z0-9_-]{0,40}$", description="keeps tests apart")
    group_protocol: Literal["classic", "consumer"] = Field("classic", description="consumer: KIP-848")

    database_url: SecretStr = Field(NO_SECRET, description="postgresql://user:password@host:port/database")
    database_pool_max: int = Field(8, ge=1, le=100, description="connections of one process")
    database_deadline: Duration = Field("5s", description="longest one transaction of a worker may take")

    gateway_host: str = "127.0.0.1"
    gateway_port: int = Field(8080, ge=0, le=65535)
    metrics_port: int = Field(9101, ge=0, le=65535, description="run all counts up from it; 0: any free one")
    max_connections: int = Field(2000, ge=1, le=100_000, description="of a gateway; above it 503 at once")
    rate_limits: Switch = Field("on", description="off lifts the one per caller; bad signatures stay limited")
    cors_origins: str = Field("", description="comma-separated origins that may call the gateway from a browser")

    retry_delays: Annotated[str, AfterValidator(_tiers)] = Field("2s,4s,8s", description="topic names follow")
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
    expiry_days: Annotated[str, AfterValidator(_expiry)] = Field("10:180,20:270,30:365", description="by tier")

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

    @property
    def production(self) -> bool:
        return self.environment is Environment.PRODUCTION

    @property
    def retry_delays_s(self) -> dict[str, float]:
        """Tier name as in the topic -> seconds, in the order of the tiers."""
        return {name: parse_duration_s(name) for name in self.retry_delays.split(",")}

    @property
    def expiry_days_by_tier(self) -> dict[int, int]:
        return _parse_expiry(self.expiry_days)

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
        """Raises ConfigurationError when there is none."""
        url = self.database_url.get_secret_value()
        if not url:
            raise ConfigurationError(f"{PREFIX}DATABASE_URL is not set; `coursepay stack env` prints the local one")
        return url

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
    """The environment for a child process: ours, with `values` (full variable names) laid over it."""
    return {**os.environ, **(values or {})}


def has_otlp_endpoint() -> bool:
    """Whether OpenTelemetry's own variables name a place for spans; the SDK reads the rest of OTEL_* itself."""
    return bool(os.environ.get("OTEL_EXPORTER_OTLP_ENDPOINT") or os.environ.get("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"))
