"""Durations as people write them in settings: `250ms`, `2s`, `15m`, `6h`, `7d`."""

import re

from services.common.errors import ConfigurationError

_UNIT_S = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_PATTERN = re.compile(r"^(\d{1,9}(?:\.\d{1,3})?)(ms|s|m|h|d)$")


def parse_duration_s(text: str) -> float:
    """Seconds. Raises ConfigurationError for anything but a number with one of the units above."""
    match = _PATTERN.match(text.strip())
    if match is None:
        raise ConfigurationError(f"{text!r} is no duration; write it like 250ms, 2s, 15m, 6h or 7d")
    return float(match.group(1)) * _UNIT_S[match.group(2)]


def parse_durations_s(text: str) -> tuple[float, ...]:
    """`2s,4s,8s` -> (2.0, 4.0, 8.0)."""
    return tuple(parse_duration_s(part) for part in text.split(",") if part.strip())
