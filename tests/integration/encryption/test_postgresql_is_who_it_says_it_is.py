"""A server that takes encrypted connections only, clients that ask whose it is, and what a person reads when one of
them is not content.
"""

import re

import pytest

from services.common.database import open_database
from services.common.errors import DependencyError
from services.common.settings import Settings
from services.operations.migrations import migrate
from tests.support.certificates import Authority
from tests.support.secure_postgres import MACHINE

_CIPHER = "SELECT ssl, version FROM pg_stat_ssl WHERE pid = pg_backend_pid()"


def settings_of(url: str, authority: Authority, **values: object) -> Settings:
    verified = {"database_ssl_mode": "verify-full", "database_ssl_ca_location": authority.ca}
    return Settings.from_environment(**{"database_url": url, **verified, **values})


def as_machine(url: str) -> str:
    return re.sub("//.*@", f"//{MACHINE}@", url)


async def refusal_of(settings: Settings) -> str:
    with pytest.raises(DependencyError) as refused:
        await migrate(settings.required_database_url())
    return str(refused.value)


async def test_a_pool_and_its_probe_are_encrypted(postgres: str, authority: Authority) -> None:
    settings = settings_of(postgres, authority)
    await migrate(settings.required_database_url())
    async with open_database(settings, role="coursepay_gateway", application="test") as database:
        async with database.connection() as connection:
            # As a service it does not see it.
            await connection.execute("SET ROLE NONE")
            row = await connection.fetchrow(_CIPHER)
        assert row is not None
        assert row["ssl"]
        assert row["version"].startswith("TLSv1.")
        assert await database.probe(within_s=20)


async def test_a_certificate_opens_it_without_a_password(postgres: str, authority: Authority) -> None:
    certificate, key = authority.issue(MACHINE)
    files = {"database_ssl_certificate_location": certificate, "database_ssl_key_location": key}
    await migrate(settings_of(as_machine(postgres), authority, **files).required_database_url())

    told = await refusal_of(settings_of(as_machine(postgres), authority))
    assert "requires a valid client certificate" in told


async def test_another_authority_s_server_is_refused(postgres: str, stranger: Authority) -> None:
    told = await refusal_of(settings_of(postgres, stranger))
    assert "PostgreSQL's certificate was refused" in told
    assert "COURSEPAY_DATABASE_SSL_CA_LOCATION names whom to trust" in told


async def test_another_host_s_certificate_is_refused(postgres: str, authority: Authority) -> None:
    told = await refusal_of(settings_of(postgres.replace("127.0.0.1", "localhost"), authority))
    assert "PostgreSQL's certificate was refused: Hostname mismatch" in told


async def test_a_wrong_password_is_refused(postgres: str, authority: Authority) -> None:
    told = await refusal_of(settings_of(postgres.replace("coursepay:", "coursepay:wrong"), authority))
    assert told == 'password authentication failed for user "coursepay"'


async def test_plain_text_is_refused(postgres: str) -> None:
    told = await refusal_of(Settings.from_environment(database_url=postgres, database_ssl_mode="disable"))
    assert "the server wants TLS: COURSEPAY_DATABASE_SSL_MODE=verify-full" in told


async def test_a_server_without_encryption_is_refused(database_url: str, authority: Authority) -> None:
    told = await refusal_of(settings_of(database_url, authority))
    assert "rejected SSL upgrade" in told
