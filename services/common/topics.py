"""The routing table: which topics exist, who reads them, and the names of the retry ladder. Pure names, no cluster.

Adding a worker is one line in WORKERS; adding a tier is one value in the setting RETRY_DELAYS.
Worker names have hyphens, because Kafka's metrics fold `.` and `_` together.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from services.common.events import (
    AllocationPending,
    Event,
    PaymentAdjusted,
    PaymentSucceeded,
    PurchaseAdjusted,
    PurchaseCreated,
    TrainerAssigned,
)
from services.common.limits import DEAD_LETTER_BYTES_MAX, RECORD_BYTES_MAX
from services.common.settings import Settings

EVENT_TOPICS: Mapping[type[Event], str] = {
    PaymentSucceeded: "payment.succeeded",
    PaymentAdjusted: "payment.adjusted",
    PurchaseCreated: "purchase.created",
    PurchaseAdjusted: "purchase.adjusted",
    TrainerAssigned: "trainer.assigned",
    AllocationPending: "allocation.pending",
}
WORKERS: Mapping[str, tuple[type[Event], ...]] = {
    "purchase-worker": (PaymentSucceeded, PaymentAdjusted),
    "assignment-worker": (PurchaseCreated, PurchaseAdjusted),
    "notifier": (PurchaseCreated, TrainerAssigned, AllocationPending, PurchaseAdjusted),
}
TYPE_TOPICS: Mapping[str, str] = {event.__name__: topic for event, topic in EVENT_TOPICS.items()}

_DAY_MS = 24 * 3600 * 1000
_FOR_EVER = "-1"


@dataclass(frozen=True, slots=True, kw_only=True)
class TopicSpec:
    name: str
    partitions: int
    replication_factor: int
    config: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Topics:
    """The names for one set of settings. `delays_s`: tier as in the topic name -> seconds, in order."""

    prefix: str
    delays_s: Mapping[str, float]
    partitions: int
    replication_factor: int

    @classmethod
    def of(cls, settings: Settings) -> "Topics":
        return cls(
            prefix=settings.kafka_topic_prefix,
            delays_s=settings.retry_delays_s,
            partitions=settings.kafka_partitions,
            replication_factor=settings.kafka_replication_factor,
        )

    def main(self, event: type[Event]) -> str:
        return self.prefix + EVENT_TOPICS[event]

    def main_of_type(self, type_name: str) -> str:
        """For an outbox row's `type`."""
        return self.prefix + TYPE_TOPICS[type_name]

    def sources(self, worker: str) -> tuple[str, ...]:
        return tuple(self.main(event) for event in WORKERS[worker])

    def retry(self, worker: str, tier: str) -> str:
        return f"{self.prefix}{worker}.retry.{tier}"

    def tiers(self, worker: str) -> tuple[str, ...]:
        return tuple(self.retry(worker, tier) for tier in self.delays_s)

    def retry_pattern(self, worker: str) -> str:
        """For a consumer's subscription: every existing tier, so that changed RETRY_DELAYS strand nothing."""
        return "^" + f"{self.prefix}{worker}.retry.".replace(".", r"\.") + ".*"

    def dead_letters(self, worker: str) -> str:
        return f"{self.prefix}{worker}.dlq"

    def parked(self, worker: str) -> str:
        return f"{self.prefix}{worker}.parked"

    def group(self, worker: str) -> str:
        return self.prefix + worker

    def retry_group(self, worker: str) -> str:
        return f"{self.prefix}{worker}.retry"

    def manifest(self) -> tuple[TopicSpec, ...]:
        """Every topic that must exist, with its settings."""
        week = str(7 * _DAY_MS)
        main = [self._spec(self.main(event), RECORD_BYTES_MAX, retention=week) for event in EVENT_TOPICS]
        # Tiers must outlive the longest outage, not their delay.
        tiers = [
            self._spec(topic, DEAD_LETTER_BYTES_MAX, retention=week, append_time=True)
            for worker in WORKERS
            for topic in self.tiers(worker)
        ]
        # Kept until an operator purges them.
        ends = [
            self._spec(topic, DEAD_LETTER_BYTES_MAX, retention=_FOR_EVER, append_time=True)
            for worker in WORKERS
            for topic in (self.dead_letters(worker), self.parked(worker))
        ]
        return (*main, *tiers, *ends)

    def _spec(self, name: str, bytes_max: int, *, retention: str, append_time: bool = False) -> TopicSpec:
        config = {
            # Compaction would overwrite dead letters and tier records of one order.
            "cleanup.policy": "delete",
            "retention.ms": retention,
            "max.message.bytes": str(bytes_max),
            "min.insync.replicas": str(max(1, self.replication_factor - 1)),
            "message.timestamp.type": "LogAppendTime" if append_time else "CreateTime",
        }
        return TopicSpec(
            name=name, partitions=self.partitions, replication_factor=self.replication_factor, config=config
        )
