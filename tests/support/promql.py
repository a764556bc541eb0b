"""Which metrics, labels and values a PromQL expression names, against the catalogue."""

import re
from collections.abc import Iterator

from services.operations.pages import catalogue, label_values

_SELECTOR = re.compile(r"\b((?:coursepay|process|python)_[a-z0-9_]+|up)\b(?:\{([^}]*)\})?")
_MATCHER = re.compile(r"\s*([a-zA-Z_]+)\s*(=~|!=|!~|=)\s*\"([^\"]*)\"\s*,?")
_GROUPING = re.compile(r"\b(?:by|without)\s*\(([^)]*)\)")
# Prometheus adds these when it scrapes.
SCRAPED = frozenset({"job", "instance"})
# Of the client library and of Prometheus itself.
FOREIGN = frozenset({"process_cpu_seconds_total", "process_resident_memory_bytes", "process_open_fds", "up"})


def base_of(metric: str) -> str:
    """The catalogued name of a histogram's series."""
    without = re.sub(r"_(?:bucket|sum|count)$", "", metric)
    return without if without in catalogue() else metric


def metrics_in(expression: str) -> list[str]:
    return [metric for metric, _ in _SELECTOR.findall(expression)]


def grouped_by(expression: str) -> set[str]:
    return {name.strip() for group in _GROUPING.findall(expression) for name in group.split(",")}


def labels_in(expression: str) -> set[str]:
    """Every label that the series of its metrics have."""
    named = (metric for metric in metrics_in(expression) if metric not in FOREIGN)
    return {label for metric in named for label in label_values(base_of(metric))} | SCRAPED | {"le"}


def unknown_in(expression: str) -> Iterator[str]:
    """What the catalogue does not know, each as a sentence."""
    found = _SELECTOR.findall(expression)
    if not found:
        yield "no metric"
    for metric, matchers in found:
        if metric in FOREIGN:
            continue
        if base_of(metric) not in catalogue():
            yield f"{metric} is not in the catalogue"
            continue
        if _MATCHER.sub("", matchers):
            yield f"not understood: {matchers}"
        yield from _unknown_matchers(metric, matchers)


def _unknown_matchers(metric: str, matchers: str) -> Iterator[str]:
    known, buckets = label_values(base_of(metric)), catalogue()[base_of(metric)].buckets
    for label, operator, value in _MATCHER.findall(matchers):
        values = value.split("|") if "~" in operator else [value]
        if label == "le" and metric.endswith("_bucket"):
            yield from (f"{metric} has no bucket {edge}" for edge in values if float(edge) not in buckets)
        elif label in SCRAPED:
            continue
        elif label not in known:
            yield f"{metric} has no label {label}"
        elif not set(values) <= set(known[label]):
            yield f"{metric} has no {label} like {value}"
