"""deploy/Dockerfile and the compose files against the code."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from pydantic import SecretStr

from services.common.limits import DRAIN_BUDGET_S
from services.common.settings import PREFIX, Settings
from services.processes.catalogue import SERVICES
from services.sandbox.accounts import sandbox_accounts, sandbox_environment
from services.sandbox.stack.broker import BEHAVIOUR
from services.sandbox.stack.engine import KAFKA_IMAGE, POSTGRES_IMAGE
from tests.support.tidy import ROOT

DEPLOY = ROOT / "deploy"
DOCKERFILE = (DEPLOY / "Dockerfile").read_text()
COMPOSE = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
OBSERVED = yaml.safe_load((DEPLOY / "compose.observability.yaml").read_text())
RUNNING = COMPOSE["services"]
OURS = {name: one for name, one in RUNNING.items() if one["image"] == "coursepay:local"}
# Differences that are wanted: a session of a shared development broker ends sooner, and topics are never deleted here.
NOT_HERE = {
    "broker.session.timeout.ms",
    "broker.heartbeat.interval.ms",
    "num.partitions",
    "log.segment.delete.delay.ms",
}


def seconds(text: str) -> float:
    return float(text.removesuffix("s"))


def test_every_service_runs_and_what_prepares_it_runs_once() -> None:
    long_lived = {name: one["command"] for name, one in OURS.items() if one["restart"] != "no"}
    once = {name: one["command"] for name, one in OURS.items() if one["restart"] == "no"}

    assert {name: command for name, command in long_lived.items() if name != "sandbox"} == {
        name: ["run", name] for name in SERVICES
    }
    assert once == {"migrate": ["migrate"], "topics": ["topics", "apply"], "catalogue": ["seed"]}


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_waits_for_tables_and_topics_and_may_drain(name: str) -> None:
    waits = {other: one["condition"] for other, one in OURS[name]["depends_on"].items()}

    assert waits == dict.fromkeys(("migrate", "topics"), "service_completed_successfully")
    assert seconds(OURS[name]["stop_grace_period"]) == DRAIN_BUDGET_S + 10


@pytest.mark.parametrize("name", OURS)
def test_a_container_may_do_nothing_that_it_need_not(name: str) -> None:
    one = OURS[name]

    assert one["read_only"] is True
    assert one["cap_drop"] == ["ALL"]
    assert one["security_opt"] == ["no-new-privileges:true"]
    assert one["mem_limit"]


def test_ports_are_open_on_this_machine_only() -> None:
    published = [port for one in (*RUNNING.values(), *OBSERVED["services"].values()) for port in one.get("ports", ())]

    assert published
    assert all(port.startswith("127.0.0.1:") for port in published)


def test_the_settings_exist_and_point_to_the_sandbox() -> None:
    environment = OURS["gateway"]["environment"]
    sandbox = sandbox_environment(sandbox_accounts(Settings()), "http://sandbox:8080")

    settings = {PREFIX + name.upper() for name in Settings.model_fields}
    secrets = {
        f"{PREFIX}{name.upper()}_FILE" for name, field in Settings.model_fields.items() if field.annotation is SecretStr
    }
    assert {name for name in environment if name.startswith(PREFIX)} <= settings | secrets
    assert sandbox.items() <= environment.items()


def test_secrets_are_files_that_are_there() -> None:
    files = COMPOSE["secrets"]
    named = {
        (service, value)
        for service, one in RUNNING.items()
        for name, value in one["environment"].items()
        if name.endswith("_FILE")
    }

    assert {service for service, _ in named} == {*OURS, "postgres"}
    for service, path in named:
        secret = path.removeprefix("/run/secrets/")
        assert RUNNING[service]["secrets"] == [secret]
        assert (DEPLOY / files[secret]["file"]).read_text().strip()


def test_spans_go_to_the_sandbox_or_through_the_collector_to_it() -> None:
    endpoint = OURS["gateway"]["environment"]["OTEL_EXPORTER_OTLP_ENDPOINT"]
    traced = {
        name
        for name, one in OBSERVED["services"].items()
        if "OTEL_EXPORTER_OTLP_ENDPOINT" in one.get("environment", ())
    }
    collector = yaml.safe_load((DEPLOY / "otel" / "collector.yaml").read_text())
    (port,) = re.findall(r":(\d+)$", OBSERVED["services"]["gateway"]["environment"]["OTEL_EXPORTER_OTLP_ENDPOINT"])
    targets = {exporter.get("endpoint") for exporter in collector["exporters"].values()}

    assert endpoint == "${OTEL_EXPORTER_OTLP_ENDPOINT:-http://sandbox:8080}"
    assert traced == set(SERVICES)
    assert collector["receivers"]["otlp"]["protocols"]["http"]["endpoint"] == f"0.0.0.0:{port}"
    assert targets == {"traces:4317", "http://sandbox:8080"}
    assert OBSERVED["services"]["collector"]["volumes"] == ["./otel/collector.yaml:/etc/otelcol/config.yaml:ro"]


def test_the_collector_s_pipeline_uses_all_that_is_configured_and_nothing_else() -> None:
    collector = yaml.safe_load((DEPLOY / "otel" / "collector.yaml").read_text())

    assert set(collector) == {"receivers", "processors", "exporters", "service"}
    for kind in ("receivers", "processors", "exporters"):
        used = {name for pipeline in collector["service"]["pipelines"].values() for name in pipeline[kind]}
        assert used == set(collector[kind])
    # Whoever limits memory has to be asked first.
    assert collector["service"]["pipelines"]["traces"]["processors"][0] == "memory_limiter"


def test_the_servers_are_those_that_everything_is_tested_with() -> None:
    kafka = RUNNING["kafka"]["environment"]
    wanted = {
        f"KAFKA_{name.replace('.', '_').upper()}": value for name, value in BEHAVIOUR.items() if name not in NOT_HERE
    }
    wanted.pop("KAFKA_GROUP_MIN_SESSION_TIMEOUT_MS")

    assert RUNNING["kafka"]["image"] == KAFKA_IMAGE
    assert RUNNING["postgres"]["image"] == POSTGRES_IMAGE
    assert wanted.items() <= kafka.items()


def jobs(path: str) -> Iterator[Any]:
    yield from yaml.safe_load((DEPLOY / "prometheus" / path).read_text())["scrape_configs"]


@pytest.mark.parametrize("path", ["prometheus.yml", "compose.yml"])
def test_prometheus_scrapes_every_service(path: str) -> None:
    assert [job["job_name"] for job in jobs(path)] == list(SERVICES)


def test_what_is_mounted_is_there() -> None:
    mounts = [mount for one in OBSERVED["services"].values() for mount in one.get("volumes", ())]
    named = [mount.split(":")[0] for mount in mounts if mount.startswith("./")]

    assert named
    assert [path for path in named if not (DEPLOY / path).exists()] == []


def test_grafana_finds_its_datasource_and_its_dashboards() -> None:
    provisioning = DEPLOY / "grafana" / "provisioning"
    sources = yaml.safe_load((provisioning / "datasources" / "datasources.yaml").read_text())["datasources"]
    (provider,) = yaml.safe_load((provisioning / "dashboards" / "coursepay.yaml").read_text())["providers"]
    mounted = dict(mount.split(":")[:2] for mount in OBSERVED["services"]["grafana"]["volumes"])

    assert {source["type"] for source in sources} == {"prometheus", "jaeger"}
    for source in sources:
        host = re.fullmatch(r"http://([a-z]+):\d+", source["url"])
        assert host is not None
        assert host[1] in OBSERVED["services"]
    assert mounted["./grafana/dashboards"] == provider["options"]["path"]
    assert provider["allowUiUpdates"] is False


def test_the_image_is_not_root_s_and_says_how_it_is() -> None:
    assert re.search(r"^USER [1-9]\d+:[1-9]\d+$", DOCKERFILE, re.MULTILINE)
    assert "--require-hashes" in DOCKERFILE
    assert re.search(r"^HEALTHCHECK .*\n.*healthcheck\.py.*/health/ready", DOCKERFILE, re.MULTILINE)
    for copied in re.findall(r"^COPY (?!--from)(\S+) ", DOCKERFILE, re.MULTILINE):
        assert (ROOT / copied).exists(), copied
