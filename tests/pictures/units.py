"""A number as Grafana would write it in the unit of a panel."""

_SECONDS = ((86400.0, "d"), (3600.0, "h"), (60.0, "min"), (1.0, "s"), (0.001, "ms"))
_BYTES = ((2.0**30, "GiB"), (2.0**20, "MiB"), (2.0**10, "KiB"))
_THOUSAND = 1000
_PER_SECOND = {"reqps": " req/s", "ops": " /s"}


def as_text(value: float, unit: str) -> str:
    """`unit`: s, bytes, percentunit, reqps, ops or short."""
    if unit == "percentunit":
        return f"{value * 100:.3g} %"
    if unit == "s":
        return _scaled(value, _SECONDS)
    if unit == "bytes":
        return _scaled(value, _BYTES)
    written = f"{value:,.0f}" if abs(value) >= _THOUSAND else f"{value:.3g}"
    return written + _PER_SECOND.get(unit, "")


def _scaled(value: float, units: tuple[tuple[float, str], ...]) -> str:
    for size, name in units:
        if abs(value) >= size:
            return f"{value / size:.3g} {name}"
    return f"{value:.3g}"
