"""What the metric catalogue is written with: an instrument, and the line that it leaves in the catalogue.

Every process exposes every name, so that dashboards never meet an unknown one. An instrument that only some services
measure (`owners`) has no samples elsewhere: a zero from a process that did not look would be a lie. Nor has one that is
looked at now and then (`figure`) a number before the first look: it is NaN, which no threshold is exceeded by.
Known label values are exported as 0 from the start, else `increase()` misses the first failure.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from math import nan
from typing import TypeVar

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

Instrument = TypeVar("Instrument", Counter, Gauge, Histogram)


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A line of the catalogue. `labels`: name -> its values here, none where they are only known later. `owners`: the
    services that measure it, None for all.
    """

    name: str
    kind: str
    question: str
    labels: dict[str, tuple[str, ...]]
    owners: frozenset[str] | None = None
    buckets: tuple[float, ...] = ()


class Instruments:
    """Those of one process, empty at first. `service` is its name in `coursepay run`, e.g. `notifier`."""

    def __init__(self, service: str) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.service = service
        self.registry = CollectorRegistry()
        self.catalogue: list[Entry] = []
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)

    def counter(self, name: str, question: str, **labels: Sequence[str]) -> Counter:
        self._note(name, "counter", question, labels)
        return _with_zeros(Counter(name, question, tuple(labels), registry=self.registry), labels)

    def histogram(self, name: str, question: str, buckets: Sequence[float], **labels: Sequence[str]) -> Histogram:
        self._note(name, "histogram", question, labels, buckets=buckets)
        return _with_zeros(Histogram(name, question, tuple(labels), buckets=buckets, registry=self.registry), labels)

    def gauge(self, name: str, question: str, owners: frozenset[str] | None, **labels: Sequence[str]) -> Gauge:
        self._note(name, "gauge", question, labels, owners=owners)
        if owners is None or self.service in owners:
            return _with_zeros(Gauge(name, question, tuple(labels), registry=self.registry), labels)
        self.registry.register(_NameOnly(name, question))
        return Gauge(name, question, tuple(labels), registry=None)

    def figure(self, name: str, question: str, owners: frozenset[str], **labels: Sequence[str]) -> Gauge:
        """A gauge that is NaN until it was looked at."""
        made = self.gauge(name, question, owners, **labels)
        if self.service in owners:
            for values in product(*labels.values()):
                (made.labels(*values) if values else made).set(nan)
        return made

    def _note(
        self,
        name: str,
        kind: str,
        question: str,
        labels: Mapping[str, Sequence[str]],
        *,
        owners: frozenset[str] | None = None,
        buckets: Sequence[float] = (),
    ) -> None:
        values = {label: tuple(known) for label, known in labels.items()}
        entry = Entry(name=name, kind=kind, question=question, labels=values, owners=owners, buckets=tuple(buckets))
        self.catalogue.append(entry)


class _NameOnly(Collector):
    """A family without samples: the name is known, this process does not measure it."""

    def __init__(self, name: str, question: str) -> None:
        self._family = GaugeMetricFamily(name, question)

    def collect(self) -> Iterator[Metric]:
        yield self._family

    def describe(self) -> Iterator[Metric]:
        yield self._family


def _with_zeros(instrument: Instrument, labels: dict[str, Sequence[str]]) -> Instrument:
    for values in product(*labels.values()) if labels else ():
        instrument.labels(*values)
    return instrument
