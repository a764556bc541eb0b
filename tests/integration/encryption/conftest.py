"""Servers that want encryption, of the tests' own; they start once for all files here."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from services.common.settings import Settings
from tests.support.certificates import Authority
from tests.support.secure_kafka import PASSWORD, USER, SecureKafka, secure_kafka
from tests.support.secure_postgres import secure_postgres


@pytest.fixture(scope="package")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"), "ours")


@pytest.fixture(scope="package")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Nobody's authority."""
    return Authority(tmp_path_factory.mktemp("stranger"), "theirs")


@pytest.fixture(scope="package")
def postgres(tmp_path_factory: pytest.TempPathFactory, authority: Authority) -> Iterator[str]:
    with secure_postgres(tmp_path_factory.mktemp("postgres"), authority) as url:
        yield url


@pytest.fixture(scope="package")
def kafka(tmp_path_factory: pytest.TempPathFactory, authority: Authority) -> Iterator[SecureKafka]:
    with secure_kafka(tmp_path_factory.mktemp("kafka"), authority) as broker:
        yield broker


@pytest.fixture
def encrypted(kafka: SecureKafka, postgres: str, authority: Authority, tmp_path: Path) -> Settings:
    """A password for Kafka, and for PostgreSQL too."""
    return Settings.from_environment(
        database_url=postgres,
        database_ssl_mode="verify-full",
        database_ssl_ca_location=authority.ca,
        kafka_bootstrap_servers=kafka.passwords,
        kafka_security_protocol="SASL_SSL",
        kafka_sasl_mechanism="SCRAM-SHA-512",
        kafka_sasl_username=USER,
        kafka_sasl_password=PASSWORD,
        kafka_ssl_ca_location=authority.ca,
        kafka_partitions=1,
        state_directory=tmp_path,
        metrics_port=0,
    )
