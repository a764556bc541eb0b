"""The Deployments of all services, with what each needs to be moved about without harm."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from services.common.limits import DRAIN_BUDGET_S
from services.common.settings import PREFIX
from services.processes.catalogue import SERVICES

Manifest = Mapping[str, Any]

IMAGE = "coursepay"
PORT = 8080
# The uid of deploy/Dockerfile.
UID = 10001
GRACE_S = int(DRAIN_BUDGET_S) + 10
# Endpoints are told of a leaving pod when it is told itself: requests still come for a moment.
LEAVE_S = 5
CONTAINER = "service"
# Secrets are files, and each service gets its own: who takes over a notifier learns no key of a payment provider.
SECRETS = "/run/secrets/coursepay"
TRUST = "/run/trust"
_ALL_NEED = ("database_url", "kafka_sasl_password")
# Of the providers that an installation has; one that it has not is dropped here and from the Secret by a patch.
_GATEWAY_NEEDS = ("razorpay_key_secrets", "razorpay_webhook_secrets", "stripe_api_key", "stripe_webhook_secrets")


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    replicas: int
    cpu: str
    memory: str


_SIZES: Mapping[str, Size] = {
    "gateway": Size(replicas=2, cpu="250m", memory="256Mi"),
    "purchase-worker": Size(replicas=2, cpu="250m", memory="256Mi"),
    "assignment-worker": Size(replicas=2, cpu="250m", memory="256Mi"),
    "notifier": Size(replicas=1, cpu="100m", memory="192Mi"),
    # Samples, indexes and sweeps; a second one would do all of it twice.
    "operations": Size(replicas=1, cpu="100m", memory="256Mi"),
}


def workloads() -> Iterator[Manifest]:
    for name in SERVICES:
        yield _deployment(name, _SIZES[name])
        if _SIZES[name].replicas > 1:
            yield _disruption_budget(name)
    yield _service("gateway")


def labels(name: str) -> dict[str, str]:
    return {"app.kubernetes.io/name": name, "app.kubernetes.io/part-of": "coursepay"}


def secrets_of(name: str) -> tuple[str, ...]:
    """The settings whose values stand in the Secret `coursepay-NAME`, under their names with dashes."""
    if name == "migrate":
        return ("database_url",)
    return (*_ALL_NEED, *(_GATEWAY_NEEDS if name == "gateway" else ()))


def migration_job() -> Iterator[Manifest]:
    """Before a rollout, never by the services: their logins may not. A worker that meets a table that is not there yet
    pauses and probes, so the order costs time and nothing else. A Job cannot be changed: a deployment tool runs it as
    its hook, and whoever has none deletes the last one first.
    """
    size = Size(replicas=1, cpu="100m", memory="256Mi")
    template = {
        "metadata": {"labels": labels("migrate")},
        "spec": {
            **_pod("migrate"),
            "restartPolicy": "Never",
            "containers": [_container("migrate", ["migrate"], size)],
        },
    }
    hook = {"argocd.argoproj.io/hook": "PreSync", "argocd.argoproj.io/hook-delete-policy": "BeforeHookCreation"}
    yield {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": "coursepay-migrate", "annotations": hook},
        "spec": {"backoffLimit": 4, "ttlSecondsAfterFinished": 86_400, "template": template},
    }


def _container(name: str, arguments: list[str], size: Size) -> dict[str, Any]:
    """What each container of ours has, those of jobs too."""
    files = {f"{PREFIX}{secret.upper()}_FILE": f"{SECRETS}/{_key(secret)}" for secret in secrets_of(name)}
    return {
        "name": CONTAINER,
        "image": IMAGE,
        "args": arguments,
        "envFrom": [{"configMapRef": {"name": "coursepay"}}],
        "env": [{"name": variable, "value": path} for variable, path in files.items()],
        # No limit on CPU: throttling a poll loop makes it look dead. Memory has one.
        "resources": {"requests": {"cpu": size.cpu, "memory": size.memory}, "limits": {"memory": size.memory}},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": [
            {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108 - a volume of the pod's own
            {"name": "secrets", "mountPath": SECRETS, "readOnly": True},
            {"name": "trust", "mountPath": TRUST, "readOnly": True},
        ],
    }


def _pod(name: str) -> dict[str, Any]:
    keys = [{"key": _key(secret), "path": _key(secret)} for secret in secrets_of(name)]
    return {
        # No service of ours talks to Kubernetes.
        "automountServiceAccountToken": False,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": UID,
            "runAsGroup": UID,
            # Whose group the secrets belong to; nobody else may read them.
            "fsGroup": UID,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "volumes": [
            {"name": "tmp", "emptyDir": {"sizeLimit": "64Mi"}},
            {"name": "secrets", "secret": {"secretName": f"coursepay-{name}", "defaultMode": 0o440, "items": keys}},
            {"name": "trust", "projected": {"sources": [_certificate_of("kafka"), _certificate_of("postgresql")]}},
        ],
    }


def _key(secret: str) -> str:
    return secret.replace("_", "-")


def _certificate_of(server: str) -> Manifest:
    """Kafka's is the one that Strimzi makes for a cluster named coursepay."""
    name = {"kafka": "coursepay-cluster-ca-cert", "postgresql": "coursepay-postgresql-ca"}[server]
    return {"secret": {"name": name, "items": [{"key": "ca.crt", "path": f"{server}.crt"}]}}


def _deployment(name: str, size: Size) -> Manifest:
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "labels": labels(name)},
        "spec": {
            "replicas": size.replicas,
            "revisionHistoryLimit": 3,
            "selector": {"matchLabels": labels(name)},
            "strategy": {"type": "RollingUpdate", "rollingUpdate": _surge(name)},
            "template": {"metadata": {"labels": labels(name)}, "spec": _pod_of(name, size)},
        },
    }


def _surge(name: str) -> Mapping[str, int]:
    # A worker that joins before another leaves moves partitions twice.
    return {"maxSurge": 1, "maxUnavailable": 0} if name == "gateway" else {"maxSurge": 0, "maxUnavailable": 1}


def _pod_of(name: str, size: Size) -> Manifest:
    service = _container(name, ["run", name], size) | {
        "ports": [{"name": "http", "containerPort": PORT}],
        # Starting takes seconds; a worker that waits for Kafka is not dead.
        "startupProbe": _probe("live", period_s=2, failures=60),
        "livenessProbe": _probe("live", period_s=10, failures=3),
        "readinessProbe": _probe("ready", period_s=5, failures=2),
    }
    if name == "gateway":
        service["lifecycle"] = {"preStop": {"exec": {"command": ["sleep", str(LEAVE_S)]}}}
    return {
        **_pod(name),
        "terminationGracePeriodSeconds": GRACE_S + (LEAVE_S if name == "gateway" else 0),
        "topologySpreadConstraints": [
            {
                "maxSkew": 1,
                "topologyKey": "kubernetes.io/hostname",
                "whenUnsatisfiable": "ScheduleAnyway",
                "labelSelector": {"matchLabels": labels(name)},
            }
        ],
        "containers": [service],
    }


def _probe(kind: str, *, period_s: int, failures: int) -> Manifest:
    return {
        "httpGet": {"path": f"/health/{kind}", "port": "http"},
        "periodSeconds": period_s,
        "timeoutSeconds": 3,
        "failureThreshold": failures,
    }


def _disruption_budget(name: str) -> Manifest:
    allowed = {"minAvailable": 1} if name == "gateway" else {"maxUnavailable": 1}
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": {"name": name, "labels": labels(name)},
        "spec": {**allowed, "selector": {"matchLabels": labels(name)}},
    }


def _service(name: str) -> Manifest:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "labels": labels(name)},
        "spec": {"selector": labels(name), "ports": [{"name": "http", "port": 80, "targetPort": "http"}]},
    }
