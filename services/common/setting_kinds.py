"""What a setting may be: durations as people write them, secrets in files, certificates.

A secret may stand in a file that `<VARIABLE>_FILE` names, as orchestrators mount them: a file is seen by nobody who
lists a process's environment. Either, not both: which of two would be the right one?
"""

import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import parse_qs, urlencode, urlsplit

from pydantic import AfterValidator, Field, SecretStr
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource

from services.common.errors import ConfigurationError

PREFIX = "COURSEPAY_"
_SECRET_BYTES_MAX = 64 * 1024
# Durations as people write them: `250ms`, `2s`, `15m`, `6h`, `7d`.
_UNIT_S = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_DURATION = re.compile(r"^(\d{1,9}(?:\.\d{1,3})?)(ms|s|m|h|d)$")
# One host or several, each with a port or without; none: a socket that the query names.
_HOST = r"(?:\[[0-9A-Fa-f:.%]+\]|[^@/?#\s:,\[\]]*)(?::[0-9]{1,5})?"
_DATABASE_URL = re.compile(rf"postgres(?:ql)?://(?:[^@/?#\s]*@)?{_HOST}(?:,{_HOST})*(?:/[^@/?#\s]*)?(?:\?[^#\s]*)?")

Network = IPv4Network | IPv6Network


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
    parse_expiry(text)
    return text


def parse_expiry(text: str) -> dict[int, int]:
    try:
        days = {int(tier): int(count) for tier, count in (part.split(":") for part in text.split(","))}
    except ValueError:
        days = {}
    if set(days) != {10, 20, 30} or not all(1 <= count <= 3660 for count in days.values()):
        raise ValueError("days for each of the tiers 10, 20 and 30, like 10:180,20:270,30:365")
    return days


def _database_url(url: SecretStr) -> SecretStr:
    """Checked here, because whoever else cannot read it quotes it, and the password with it."""
    if url.get_secret_value() and _DATABASE_URL.fullmatch(url.get_secret_value()) is None:
        raise ValueError("postgresql://user:password@host:port/database, with / @ ? # of a password as %2F %40 %3F %23")
    return url


def _networks(text: str) -> str:
    parse_networks(text)
    return text


def parse_networks(text: str) -> tuple[Network, ...]:
    """`192.0.2.0/24, 2001:db8::/32, 198.51.100.7`. Raises ValueError."""
    networks = tuple(ip_network(part.strip()) for part in text.split(",") if part.strip())
    for network in networks:
        if network.prefixlen == 0:
            raise ValueError(f"{network} is everybody; name the networks of the proxies alone")
    return networks


Duration = Annotated[str, AfterValidator(_duration)]
Durations = Annotated[str, AfterValidator(_durations)]
Tiers = Annotated[str, AfterValidator(_tiers)]
Expiry = Annotated[str, AfterValidator(_expiry)]
Networks = Annotated[str, AfterValidator(_networks)]
DatabaseUrl = Annotated[SecretStr, AfterValidator(_database_url)]
Switch = Literal["on", "off"]
Url = Annotated[str, Field(pattern=r"^https?://[^\s]+$", max_length=500)]


class SecretFiles(PydanticBaseSettingsSource):
    """Reads `<VARIABLE>_FILE` for every setting that is a secret. `environment` holds names in lower case."""

    def __init__(self, settings: type[BaseSettings], environment: Mapping[str, str | None]) -> None:
        super().__init__(settings)
        self._environment = environment

    def __call__(self) -> dict[str, Any]:
        """Raises ConfigurationError for a file that cannot be read, is empty, or stands beside the variable itself."""
        found = {}
        for name, field in self.settings_cls.model_fields.items():
            variable = f"{PREFIX}{name}".lower()
            path = self._environment.get(f"{variable}_file")
            if field.annotation is SecretStr and path:
                if self._environment.get(variable):
                    raise ConfigurationError(f"{variable.upper()} and {variable.upper()}_FILE are both set; unset one")
                found[name] = read_secret(Path(path), f"{variable.upper()}_FILE")
        return found

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        raise NotImplementedError(f"{field_name} ({field}): all are read at once")


def read_secret(path: Path, variable: str) -> str:
    """Without the line end that editors add. Raises ConfigurationError."""
    try:
        with path.open("rb") as file:
            text = file.read(_SECRET_BYTES_MAX).decode().rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no text"
        raise ConfigurationError(f"{variable}: {path} cannot be read: {reason}") from None
    if not text:
        raise ConfigurationError(f"{variable}: {path} is empty")
    return text


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsFiles:
    """PEM files: whom to trust, and who we are where the server asks. `variable` is what their settings begin with."""

    variable: str
    ca: Path | None
    certificate: Path | None
    key: Path | None
    key_password: SecretStr

    def check(self) -> None:
        """Raises ConfigurationError naming the setting whose file is not what it should be. Clients would say it late,
        or name no file.
        """
        if (self.certificate is None) != (self.key is None):
            raise ConfigurationError(
                f"{self.variable}_CERTIFICATE_LOCATION and {self.variable}_KEY_LOCATION belong together; set both"
            )
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        if self.ca is not None:
            try:
                context.load_verify_locations(cafile=self.ca)
            except OSError as error:
                raise ConfigurationError(
                    f"{self.variable}_CA_LOCATION: {self.ca} holds no certificates that can be read: {_why(error)}"
                ) from None
        if self.certificate is not None:
            try:
                context.load_cert_chain(self.certificate, self.key, self.key_password.get_secret_value())
            except OSError as error:
                raise ConfigurationError(
                    f"{self.variable}_CERTIFICATE_LOCATION: {self.certificate} and {self.key} are no certificate with"
                    f" its key, or {self.variable}_KEY_PASSWORD is wrong: {_why(error)}"
                ) from None

    def on_url(self, url: str, mode: str | None) -> str:
        """The address of a PostgreSQL server with what libpq and asyncpg read from it. Raises ConfigurationError."""
        if mode is None:
            if self.ca or self.certificate or self.key:
                raise ConfigurationError(
                    f"{self.variable}_MODE is not set, so nobody would be verified; set it to verify-full"
                )
            return url
        if "sslmode" in parse_qs(urlsplit(url).query):
            raise ConfigurationError(f"{self.variable}_MODE is set and the address has sslmode too; drop one")
        if mode.startswith("verify-") and self.ca is None:
            raise ConfigurationError(f"{self.variable}_CA_LOCATION is not set; {mode} needs to know whom to trust")
        self.check()
        parameters = {
            "sslmode": mode,
            "sslrootcert": self.ca,
            "sslcert": self.certificate,
            "sslkey": self.key,
            "sslpassword": self.key_password.get_secret_value(),
        }
        return f"{url}{'&' if urlsplit(url).query else '?'}{urlencode({k: v for k, v in parameters.items() if v})}"


def _why(error: OSError) -> str:
    """OpenSSL's errors are OSErrors too."""
    if isinstance(error, ssl.SSLError):
        return error.reason or "no PEM"
    return error.strerror or type(error).__name__
