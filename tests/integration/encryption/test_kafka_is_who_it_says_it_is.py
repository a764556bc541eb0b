"""A broker that asks who calls, clients that ask whose broker it is, and what people read when one is not content."""

from pathlib import Path

import pytest

from services.common import topic_admin
from services.common.errors import DependencyError
from services.common.settings import Settings
from services.common.topic_admin import apply_topics, check_topics
from tests.support.certificates import Authority
from tests.support.secure_kafka import SecureKafka

_NO_PASSWORD = {"kafka_sasl_mechanism": None, "kafka_sasl_username": None, "kafka_sasl_password": ""}


def changed(settings: Settings, **values: object) -> Settings:
    """Validated anew."""
    return Settings.from_environment(**{**dict(settings), **values})


@pytest.mark.parametrize("mechanism", ["SCRAM-SHA-512", "PLAIN"])
async def test_a_password_opens_it(encrypted: Settings, mechanism: str) -> None:
    settings = changed(encrypted, kafka_sasl_mechanism=mechanism)
    await apply_topics(settings)
    assert await check_topics(settings) == []


async def test_a_certificate_opens_it(encrypted: Settings, kafka: SecureKafka, authority: Authority) -> None:
    certificate, key = authority.issue("client")
    files: dict[str, Path] = {"kafka_ssl_certificate_location": certificate, "kafka_ssl_key_location": key}
    where = {"kafka_bootstrap_servers": kafka.certificates, "kafka_security_protocol": "SSL"}
    settings = changed(encrypted, **_NO_PASSWORD, **files, **where)
    await apply_topics(settings)
    assert await check_topics(settings) == []


async def refusal_of(settings: Settings) -> str:
    with pytest.raises(DependencyError) as refused:
        await apply_topics(settings)
    return str(refused.value)


async def test_another_authority_s_broker_is_refused(encrypted: Settings, stranger: Authority) -> None:
    told = await refusal_of(changed(encrypted, kafka_ssl_ca_location=stranger.ca))
    assert "the broker's certificate was refused: COURSEPAY_KAFKA_SSL_CA_LOCATION" in told


async def test_another_host_s_certificate_is_refused(encrypted: Settings, kafka: SecureKafka) -> None:
    elsewhere = kafka.passwords.replace("127.0.0.1", "localhost")
    told = await refusal_of(changed(encrypted, kafka_bootstrap_servers=elsewhere))
    assert "it is for another name than that of COURSEPAY_KAFKA_BOOTSTRAP_SERVERS" in told


async def test_a_wrong_password_is_refused(encrypted: Settings) -> None:
    told = await refusal_of(changed(encrypted, kafka_sasl_password="wrong"))
    assert "COURSEPAY_KAFKA_SASL_USERNAME or COURSEPAY_KAFKA_SASL_PASSWORD was refused" in told
    assert "wrong" not in told


async def test_plain_text_is_refused(encrypted: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(topic_admin, "_CALL_S", 3.0)
    plain = {**_NO_PASSWORD, "kafka_security_protocol": "PLAINTEXT", "kafka_ssl_ca_location": None}
    told = await refusal_of(changed(encrypted, **plain))
    assert "COURSEPAY_KAFKA_SECURITY_PROTOCOL is PLAINTEXT; does the broker want another?" in told


async def test_who_shows_no_certificate_is_refused(
    encrypted: Settings, kafka: SecureKafka, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(topic_admin, "_CALL_S", 3.0)
    where = {"kafka_bootstrap_servers": kafka.certificates, "kafka_security_protocol": "SSL"}
    told = await refusal_of(changed(encrypted, **_NO_PASSWORD, **where))
    assert "certificate" in told
