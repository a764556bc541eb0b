"""What other operators' resources say about coursepay: topics for Strimzi, scaling for KEDA, rules for Prometheus.

They follow from the manifest of topics and from the alert rules, so that nothing is written down twice.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from deploy.kubernetes.workloads import Manifest, labels
from services.common.settings import Settings
from services.common.topics import WORKERS, Topics

RULES = Path(__file__).resolve().parents[1] / "prometheus" / "rules"
# What an installation that must not lose a broker's worth of records sets.
REPLICATION_FACTOR = 3
# Records that one process may be behind before another one helps.
_LAG_PER_REPLICA = 500
_COOLDOWN_S = 300
# How KEDA's own client of Kafka introduces itself; also the name of the Secret that holds it.
_KEDA = "coursepay-keda"


def production_topics() -> Topics:
    defaults: Mapping[str, Any] = {name: field.default for name, field in Settings.model_fields.items()}
    return Topics.of(
        # The defaults, whatever is set here: a manifest must not depend on who makes it.
        Settings.model_construct(**{**defaults, "kafka_replication_factor": REPLICATION_FACTOR})
    )


def strimzi_topics() -> Iterator[Manifest]:
    for spec in production_topics().manifest():
        yield {
            "apiVersion": "kafka.strimzi.io/v1",
            "kind": "KafkaTopic",
            "metadata": {"name": spec.name, "labels": {"strimzi.io/cluster": "coursepay"}},
            "spec": {
                "partitions": spec.partitions,
                "replicas": spec.replication_factor,
                "config": dict(sorted(spec.config.items())),
            },
        }


def keda_scalers() -> Iterator[Manifest]:
    """On main topics only: waiting in a tier is what tiers are for, and more processes do not shorten it."""
    topics = production_topics()
    yield {
        "apiVersion": "keda.sh/v1alpha1",
        "kind": "TriggerAuthentication",
        "metadata": {"name": _KEDA},
        # In the Secret: sasl is scram_sha512, tls is enable, ca the text of the certificate.
        "spec": {
            "secretTargetRef": [
                {"parameter": name, "name": _KEDA, "key": name}
                for name in ("sasl", "username", "password", "tls", "ca")
            ]
        },
    }
    for worker in WORKERS:
        yield {
            "apiVersion": "keda.sh/v1alpha1",
            "kind": "ScaledObject",
            "metadata": {"name": worker, "labels": labels(worker)},
            "spec": {
                "scaleTargetRef": {"name": worker},
                # Never 0: a retry that is due waits for nobody to wake up.
                "minReplicaCount": 1,
                # More than partitions would be idle.
                "maxReplicaCount": topics.partitions,
                "cooldownPeriod": _COOLDOWN_S,
                "triggers": [_trigger(topics.group(worker), topic) for topic in topics.sources(worker)],
            },
        }


def prometheus_rules() -> Iterator[Manifest]:
    for path in sorted(RULES.glob("*.yml")):
        yield {
            "apiVersion": "monitoring.coreos.com/v1",
            "kind": "PrometheusRule",
            "metadata": {"name": f"coursepay-{path.stem}", "labels": {"app.kubernetes.io/part-of": "coursepay"}},
            "spec": yaml.safe_load(path.read_text(encoding="utf-8")),
        }


def _trigger(group: str, topic: str) -> Manifest:
    return {
        "type": "kafka",
        "metadata": {
            "bootstrapServers": "coursepay-kafka-bootstrap:9093",
            "consumerGroup": group,
            "topic": topic,
            "lagThreshold": str(_LAG_PER_REPLICA),
            # Nothing committed yet means everything that is there.
            "offsetResetPolicy": "earliest",
            "allowIdleConsumers": "false",
        },
        "authenticationRef": {"name": _KEDA},
    }
