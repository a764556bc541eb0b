"""What somebody reads who mistyped a setting: one sentence that names it, and exit code 2."""

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
from pydantic import SecretStr

from services.common.settings import Settings, child_environment

COURSEPAY = str(Path(sys.executable).with_name("coursepay"))


def run(*command: str, environment: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, env=child_environment(environment), capture_output=True, text=True, check=False, timeout=60
    )


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("COURSEPAY_RETRY_DELAYS", "banana", "banana"),
        ("COURSEPAY_GATEWAY_PORT", "eighty", "COURSEPAY_GATEWAY_PORT: "),
        ("COURSEPAY_EXPIRY_DAYS", "10:180", "like 10:180,20:270,30:365"),
        ("COURSEPAY_CONFIRM_POLICY", "trust", "'signature' or 'capture'"),
        ("COURSEPAY_SCHEMA_REGISTRY_URL", "registry:8081", "COURSEPAY_SCHEMA_REGISTRY_URL: "),
        ("COURSEPAY_TRUSTED_PROXIES", "192.0.2.1/24", "192.0.2.1/24 has host bits set"),
    ],
)
def test_a_wrong_value_is_named(name: str, value: str, says: str) -> None:
    done = run(COURSEPAY, "token", "--role", "student", "--subject", "s-1", environment={name: value})

    assert done.returncode == 2
    assert name in done.stderr
    assert says in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert done.stdout == ""


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://app:s3cret/x@127.0.0.1:5432/db",
        "postgresql://app:s3cret@x@127.0.0.1:5432/db",
        "postgresql://app:s3cret@[::1/db",
        "postgresql://app:127.0.0.1:s3cret/db",
        "mysql://app:s3cret@127.0.0.1/db",
        "=s3cret",
    ],
)
def test_a_wrong_address_of_the_database_is_not_quoted(url: str) -> None:
    done = run(COURSEPAY, "run", "purchase-worker", environment={"COURSEPAY_DATABASE_URL": url})

    assert done.returncode == 2
    assert "COURSEPAY_DATABASE_URL: " in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert "s3cret" not in done.stdout + done.stderr


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://app:s%2Fcret@127.0.0.1:5432/db",
        "postgres://app@[::1]:5432/db?sslmode=require",
        "postgresql://one:5432,two:5432/db?target_session_attrs=read-write",
        "postgresql:///db?host=/var/run/postgresql",
        "postgresql://localhost",
    ],
)
def test_addresses_of_the_database_that_are_right(url: str) -> None:
    assert Settings(database_url=SecretStr(url)).required_database_url() == url


@pytest.mark.parametrize("module", ["gateway_api", "purchase_worker", "assignment_worker", "notifier", "operations"])
def test_a_service_started_as_a_module_says_the_same(module: str) -> None:
    done = run(sys.executable, "-m", f"services.{module}", environment={"COURSEPAY_RETRY_DELAYS": "banana"})

    assert done.returncode == 2
    assert len(done.stderr.strip().splitlines()) == 1
    assert "COURSEPAY_RETRY_DELAYS" in done.stderr


@pytest.mark.parametrize("missing", ["COURSEPAY_DATABASE_URL", "COURSEPAY_KAFKA_BOOTSTRAP_SERVERS"])
@pytest.mark.parametrize("service", ["gateway", "purchase-worker", "assignment-worker", "notifier", "operations"])
def test_a_missing_address_is_named(service: str, missing: str) -> None:
    addresses = {
        "COURSEPAY_DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none",
        "COURSEPAY_KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1",
        "COURSEPAY_METRICS_PORT": "0",
        "COURSEPAY_GATEWAY_PORT": "0",
    }
    done = run(COURSEPAY, "run", service, environment=addresses | {missing: ""})

    assert done.returncode == 2
    assert missing in done.stderr


def test_an_unknown_command_is_a_usage_error() -> None:
    assert run(COURSEPAY, "bananas").returncode == 2
