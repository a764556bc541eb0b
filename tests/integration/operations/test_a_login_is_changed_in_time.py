"""The SQL of docs/security.md: the second login works while the first one does, and nothing of the first is left."""

import re
import secrets
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest

from services.common.database import open_database
from services.common.errors import RecordError
from services.common.settings import Settings
from tests.support.gateway import owner_connection
from tests.support.tidy import ROOT

_PAGE = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")
_MAKES, _ENDS = re.findall(r"^```sql\n(.*?)^```", _PAGE, re.MULTILINE | re.DOTALL)
_PASSWORD = "new-password"


def _as(url: str, login: str) -> Settings:
    parts = urlsplit(url)
    mine = urlunsplit(parts._replace(netloc=f"{login}:{_PASSWORD}@{parts.hostname}:{parts.port}"))
    return Settings.from_environment(database_url=mine)


async def test_a_login_is_changed_while_the_first_one_works(database_url: str) -> None:
    # A server has one set of logins for all databases.
    first, second = (f"gateway_{number}_{secrets.token_hex(4)}" for number in (1, 2))

    def named(sql: str) -> str:
        return sql.replace("gateway_1", first).replace("gateway_2", second)

    async with owner_connection(database_url) as connection:
        await connection.execute(_MAKES.replace("gateway_2", first))
        opened = open_database(_as(database_url, first), role="coursepay_gateway", application="old")
        async with opened as old, old.connection() as held:
            await held.fetchval("SELECT count(*) FROM payments")
            await connection.execute(named(_MAKES))
            new_one = open_database(_as(database_url, second), role="coursepay_gateway", application="new")
            async with new_one as new, new.connection() as other:
                assert await other.fetchval("SELECT session_user") == second
                await held.fetchval("SELECT count(*) FROM payments")
                await connection.execute(named(_ENDS))
                await other.fetchval("SELECT count(*) FROM payments")
                # The last one: in the very moment in which the server's goodbye comes.
                with pytest.raises(
                    (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, asyncpg.InternalClientError)
                ):
                    await held.fetchval("SELECT count(*) FROM payments")
        await connection.execute(f"DROP ROLE {second}")
    with pytest.raises(RecordError):
        async with open_database(_as(database_url, first), role="none", application="old") as old, old.connection():
            pass
