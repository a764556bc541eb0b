"""Settings of TLS and SASL that contradict each other are refused before anybody connects: drivers ignore some, and
some they understand late.
"""

from urllib.parse import parse_qs, urlsplit

import pytest

from services.common.errors import ConfigurationError
from services.common.kafka_config import consumer_config, producer_config
from services.common.settings import Settings
from tests.support.certificates import Authority

URL = "postgresql://somebody:hush@db.example.com/coursepay"
PASSWORDS = {
    "kafka_security_protocol": "SASL_SSL",
    "kafka_sasl_mechanism": "SCRAM-SHA-512",
    "kafka_sasl_username": "coursepay",
    "kafka_sasl_password": "hush",
}


def settings_of(**values: object) -> Settings:
    servers = {"kafka_bootstrap_servers": "kafka.example.com:9093", "database_url": URL}
    return Settings.from_environment(**{**servers, **values})


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"), "ours")


def test_every_client_of_kafka_gets_what_the_settings_say(authority: Authority) -> None:
    certificate, key = authority.issue("client")
    settings = settings_of(
        **PASSWORDS,
        kafka_ssl_ca_location=authority.ca,
        kafka_ssl_certificate_location=certificate,
        kafka_ssl_key_location=key,
    )

    for config in (consumer_config(settings, "group"), producer_config(settings, "client")):
        assert (
            config.items()
            >= {
                "security.protocol": "SASL_SSL",
                "sasl.mechanism": "SCRAM-SHA-512",
                "sasl.username": "coursepay",
                "sasl.password": "hush",
                "ssl.ca.location": str(authority.ca),
                "ssl.certificate.location": str(certificate),
                "ssl.key.location": str(key),
                "ssl.endpoint.identification.algorithm": "https",
            }.items()
        )


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (PASSWORDS | {"kafka_sasl_password": ""}, "COURSEPAY_KAFKA_SASL_PASSWORD is not set; SASL_SSL needs it"),
        (PASSWORDS | {"kafka_sasl_mechanism": None}, "COURSEPAY_KAFKA_SASL_MECHANISM is not set; SASL_SSL needs it"),
        ({"kafka_sasl_mechanism": "PLAIN"}, "COURSEPAY_KAFKA_SECURITY_PROTOCOL is PLAINTEXT; set it to SASL_SSL"),
        ({"kafka_ssl_ca_location": "ca.pem"}, "COURSEPAY_KAFKA_SECURITY_PROTOCOL is PLAINTEXT; set it to SSL or"),
        (PASSWORDS | {"kafka_ssl_ca_location": "nowhere.pem"}, "COURSEPAY_KAFKA_SSL_CA_LOCATION: nowhere.pem holds no"),
        (PASSWORDS | {"kafka_ssl_ca_location": __file__}, "COURSEPAY_KAFKA_SSL_CA_LOCATION: "),
        (PASSWORDS | {"kafka_ssl_key_location": "key.pem"}, "COURSEPAY_KAFKA_SSL_KEY_LOCATION belong together"),
        (
            PASSWORDS
            | {"kafka_security_protocol": "SASL_PLAINTEXT", "kafka_sasl_mechanism": "PLAIN"}
            | {"environment": "production"},
            "PLAIN without TLS sends the password readably",
        ),
    ],
)
def test_what_makes_no_sense_for_kafka_is_named(wrong: dict[str, object], says: str) -> None:
    with pytest.raises(ConfigurationError, match=says):
        producer_config(settings_of(**wrong), "client")


def test_a_certificate_and_another_key_are_told_apart(authority: Authority) -> None:
    certificate, _ = authority.issue("one")
    _, key = authority.issue("another")
    files = {"kafka_ssl_certificate_location": certificate, "kafka_ssl_key_location": key}

    with pytest.raises(ConfigurationError, match=f"{certificate} and {key} are no certificate with its key"):
        producer_config(settings_of(**PASSWORDS, **files), "client")


def test_the_address_of_postgresql_carries_its_encryption(authority: Authority) -> None:
    certificate, key = authority.issue("client")
    settings = settings_of(
        database_ssl_mode="verify-full",
        database_ssl_ca_location=authority.ca,
        database_ssl_certificate_location=certificate,
        database_ssl_key_location=key,
    )

    url = settings.required_database_url()
    assert url.startswith(f"{URL}?")
    assert parse_qs(urlsplit(url).query) == {
        "sslmode": ["verify-full"],
        "sslrootcert": [str(authority.ca)],
        "sslcert": [str(certificate)],
        "sslkey": [str(key)],
    }


def test_without_a_word_the_address_stays_as_it_is() -> None:
    assert settings_of().required_database_url() == URL


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"database_ssl_ca_location": "ca.pem"}, "COURSEPAY_DATABASE_SSL_MODE is not set"),
        ({"database_ssl_mode": "verify-full"}, "COURSEPAY_DATABASE_SSL_CA_LOCATION is not set"),
        (
            {"database_ssl_mode": "require", "database_url": f"{URL}?sslmode=disable"},
            "COURSEPAY_DATABASE_SSL_MODE is set and the address has sslmode too",
        ),
        (
            {"database_ssl_mode": "verify-full", "database_ssl_ca_location": "nowhere.pem"},
            "COURSEPAY_DATABASE_SSL_CA_LOCATION: nowhere.pem holds no certificates",
        ),
    ],
)
def test_what_makes_no_sense_for_postgresql_is_named(wrong: dict[str, object], says: str) -> None:
    with pytest.raises(ConfigurationError, match=says):
        settings_of(**wrong).required_database_url()
