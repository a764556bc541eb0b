"""Manifests against the code: names, ports, probes, settings and grace periods that drift apart fail at night."""

from collections import Counter
from typing import Any, cast

import aiohttp
import pytest
from pydantic import SecretStr

from deploy.grafana.pages import PAGES
from deploy.kubernetes.generate import DIRECTORY, MADE, render
from deploy.kubernetes.workloads import GRACE_S, LEAVE_S
from services.common.limits import DRAIN_BUDGET_S
from services.common.settings import PREFIX, Settings
from services.common.topics import WORKERS, Topics
from services.gateway_api.providers import load_providers
from services.processes.catalogue import SERVICES
from tests.support.manifests import KUBERNETES, manifests, of_kind, pods

PRODUCTION = list(manifests(KUBERNETES / "overlays" / "production"))
DEPLOYMENTS = of_kind("Deployment")
PODS = pods()
DOCKERFILE = (KUBERNETES.parent / "Dockerfile").read_text()


@pytest.mark.parametrize("name", MADE)
def test_what_is_committed_is_what_the_code_makes(name: str) -> None:
    assert (DIRECTORY / name).read_text(encoding="utf-8") == render(name), "renew it with: make kubernetes"


def test_nothing_is_there_twice() -> None:
    counts = Counter((one["kind"], one["metadata"]["name"]) for one in PRODUCTION)

    assert [what for what, count in counts.items() if count > 1] == []
    assert all(one["apiVersion"] for one in PRODUCTION)


def test_every_service_runs() -> None:
    assert {name: one["spec"]["template"]["spec"]["containers"][0]["args"] for name, one in DEPLOYMENTS.items()} == {
        name: ["run", name] for name in SERVICES
    }


@pytest.mark.parametrize("name", DEPLOYMENTS)
def test_probes_ask_where_the_image_listens(name: str) -> None:
    (service,) = PODS[name]["containers"]
    (port,) = service["ports"]

    assert f"COURSEPAY_METRICS_PORT={port['containerPort']}" in DOCKERFILE
    assert f"COURSEPAY_GATEWAY_PORT={port['containerPort']}" in DOCKERFILE
    assert service["livenessProbe"]["httpGet"] == {"path": "/health/live", "port": port["name"]}
    assert service["startupProbe"]["httpGet"] == {"path": "/health/live", "port": port["name"]}
    assert service["readinessProbe"]["httpGet"] == {"path": "/health/ready", "port": port["name"]}


def test_the_gateway_has_all_that_its_providers_need() -> None:
    (gateway,) = PODS["gateway"]["containers"]
    mounted = {one["name"].removeprefix(PREFIX).removesuffix("_FILE").lower(): SecretStr("x") for one in gateway["env"]}
    (chosen,) = (
        one["data"] for one in PRODUCTION if one["kind"] == "ConfigMap" and one["metadata"]["name"] == "coursepay"
    )
    plain = {name.removeprefix(PREFIX).lower(): value for name, value in chosen.items()}
    known = {name: value for name, value in (plain | mounted).items() if "razorpay" in name or "stripe" in name}

    assert set(load_providers(Settings().model_copy(update=known), cast("aiohttp.ClientSession", None))) == {
        "razorpay",
        "stripe",
    }


@pytest.mark.parametrize("name", DEPLOYMENTS)
def test_a_pod_has_time_to_drain(name: str) -> None:
    leaving_s = LEAVE_S if "lifecycle" in PODS[name]["containers"][0] else 0

    assert PODS[name]["terminationGracePeriodSeconds"] == GRACE_S + leaving_s
    assert GRACE_S == DRAIN_BUDGET_S + 10


def test_the_gateway_is_taken_out_of_the_service_before_it_stops() -> None:
    assert [name for name in DEPLOYMENTS if "lifecycle" in PODS[name]["containers"][0]] == ["gateway"]
    assert (
        of_kind("Service")["gateway"]["spec"]["selector"] == DEPLOYMENTS["gateway"]["spec"]["selector"]["matchLabels"]
    )


@pytest.mark.parametrize("name", PODS)
def test_a_pod_may_do_nothing_that_it_need_not(name: str) -> None:
    (container,) = PODS[name]["containers"]

    assert PODS[name]["automountServiceAccountToken"] is False
    security: dict[str, Any] = PODS[name]["securityContext"]
    assert security["runAsNonRoot"] is True
    assert f"USER {security['runAsUser']}:{security['runAsGroup']}" in DOCKERFILE
    assert security["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert container["resources"]["limits"]["memory"]


@pytest.mark.parametrize("name", PODS)
def test_secrets_are_files_of_the_pod_s_own(name: str) -> None:
    (container,) = PODS[name]["containers"]
    volumes = {volume["name"]: volume for volume in PODS[name]["volumes"]}
    mounts = {mount["name"]: mount for mount in container["volumeMounts"]}
    service = name.removeprefix("coursepay-")
    secret = volumes["secrets"]["secret"]
    named = {one["name"]: one["value"] for one in container["env"]}

    assert secret["secretName"] == f"coursepay-{service}"
    assert secret["defaultMode"] == 0o440
    assert PODS[name]["securityContext"]["fsGroup"] == PODS[name]["securityContext"]["runAsUser"]
    assert mounts["secrets"]["readOnly"]
    assert set(named.values()) == {f"{mounts['secrets']['mountPath']}/{item['path']}" for item in secret["items"]}
    for variable, path in named.items():
        field = variable.removeprefix(PREFIX).removesuffix("_FILE").lower()
        assert Settings.model_fields[field].annotation is SecretStr, variable
        assert path.rpartition("/")[2] == field.replace("_", "-")
    # No secret comes in a variable.
    assert container["envFrom"] == [{"configMapRef": {"name": "coursepay"}}]


def test_only_the_gateway_holds_keys_of_payment_providers() -> None:
    holders = {
        name
        for name, pod in PODS.items()
        for one in pod["containers"][0]["env"]
        if "RAZORPAY" in one["name"] or "STRIPE" in one["name"]
    }

    assert holders == {"gateway"}


def test_every_connection_is_encrypted_and_verified() -> None:
    data = of_kind("ConfigMap")["coursepay"]["data"]
    projected = [
        item["path"]
        for volume in PODS["gateway"]["volumes"]
        for source in volume.get("projected", {}).get("sources", ())
        for item in source["secret"]["items"]
    ]
    (trust,) = [
        mount["mountPath"] for mount in PODS["gateway"]["containers"][0]["volumeMounts"] if mount["name"] == "trust"
    ]

    assert (data["COURSEPAY_KAFKA_SECURITY_PROTOCOL"], data["COURSEPAY_DATABASE_SSL_MODE"]) == (
        "SASL_SSL",
        "verify-full",
    )
    assert [f"{trust}/{path}" for path in projected] == [
        data["COURSEPAY_KAFKA_SSL_CA_LOCATION"],
        data["COURSEPAY_DATABASE_SSL_CA_LOCATION"],
    ]


def test_settings_that_are_named_exist() -> None:
    data = of_kind("ConfigMap")["coursepay"]["data"]
    known = {PREFIX + name.upper() for name in Settings.model_fields}

    assert set(data) <= known
    values = {name.removeprefix(PREFIX).lower(): value for name, value in data.items()}
    assert Settings.from_environment(**values).production


def test_topics_are_those_of_the_manifest_on_three_brokers() -> None:
    made = of_kind("KafkaTopic")
    wanted = Topics.of(Settings(kafka_replication_factor=3)).manifest()

    assert set(made) == {spec.name for spec in wanted}
    for spec in wanted:
        assert made[spec.name]["spec"] == {
            "partitions": spec.partitions,
            "replicas": 3,
            "config": dict(spec.config),
        }
        assert spec.config["min.insync.replicas"] == "2"
        assert spec.config["cleanup.policy"] == "delete"


def test_scaling_follows_main_topics_and_never_reaches_nothing() -> None:
    topics = Topics.of(Settings())
    scalers = of_kind("ScaledObject")

    assert set(scalers) == set(WORKERS)
    for worker, scaler in scalers.items():
        triggers = [trigger["metadata"] for trigger in scaler["spec"]["triggers"]]
        assert {trigger["topic"] for trigger in triggers} == set(topics.sources(worker))
        assert {trigger["consumerGroup"] for trigger in triggers} == {topics.group(worker)}
        assert scaler["spec"]["minReplicaCount"] >= 1
        assert scaler["spec"]["maxReplicaCount"] <= topics.partitions
        (authentication,) = {trigger["authenticationRef"]["name"] for trigger in scaler["spec"]["triggers"]}
        assert authentication in of_kind("TriggerAuthentication")
        servers = of_kind("ConfigMap")["coursepay"]["data"]["COURSEPAY_KAFKA_BOOTSTRAP_SERVERS"]
        assert {trigger["bootstrapServers"] for trigger in triggers} == {servers}


def test_no_pod_is_reached_or_reaches_out_unless_a_policy_says_so() -> None:
    policies = of_kind("NetworkPolicy")
    everyone = {"matchLabels": {"app.kubernetes.io/part-of": "coursepay"}}

    closed = policies["coursepay-nothing-else"]["spec"]
    assert closed == {"podSelector": everyone, "policyTypes": ["Ingress", "Egress"]}
    for name, one in (DEPLOYMENTS | of_kind("Job")).items():
        labels = one["spec"]["template"]["metadata"]["labels"]
        assert labels["app.kubernetes.io/part-of"] == "coursepay", name
    world = policies["coursepay-ingress"]["spec"]
    assert world["podSelector"] == {"matchLabels": {"app.kubernetes.io/name": "gateway"}}


def test_a_drained_node_takes_one_process_of_a_service_at_a_time() -> None:
    budgets = of_kind("PodDisruptionBudget")
    several = {name for name, one in DEPLOYMENTS.items() if one["spec"]["replicas"] > 1}

    assert set(budgets) == several
    for name, budget in budgets.items():
        selector = budget["spec"]["selector"]
        assert selector == DEPLOYMENTS[name]["spec"]["selector"]


def test_every_dashboard_reaches_grafana() -> None:
    carried = {name for one in of_kind("ConfigMap").values() for name in one["data"] if name.endswith(".json")}

    assert carried == {f"{page.uid}.json" for page in PAGES}
