"""A database of the demo's own on the stack's server: nothing of it stays, and nothing else there is touched."""

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit, urlunsplit

import asyncpg
from pydantic import SecretStr

from services.common.database import Database, open_database, translated_errors
from services.common.settings import Settings
from services.sandbox.demo.patience import patiently

_CALL_S = 20.0
# Counting millions of sessions takes longer than a worker's transaction may.
_DEADLINE = "60s"
_OWN_ROLE = "none"


@asynccontextmanager
async def own_database(settings: Settings) -> AsyncIterator[Settings]:
    """Yields the settings with the address of a new, empty database, which is dropped on exit. Raises RecordError
    kinds, when the login may not create databases for one.
    """
    url = settings.required_database_url()
    name = f"coursepay_demo_{secrets.token_hex(4)}"
    await _execute(url, f'CREATE DATABASE "{name}"')
    try:
        yield settings.model_copy(update={"database_url": SecretStr(_with_database(url, name))})
    finally:
        await patiently(_execute)(url, f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')


@asynccontextmanager
async def open_as_owner(settings: Settings) -> AsyncIterator[Database]:
    """A pool that acts as the login itself, with a deadline for reading everything."""
    patient = settings.model_copy(update={"database_deadline": _DEADLINE})
    async with open_database(patient, role=_OWN_ROLE, application="coursepay-demo", connections_max=4) as database:
        yield database


async def _execute(url: str, statement: str) -> None:
    with translated_errors():
        connection = await asyncpg.connect(url, timeout=_CALL_S, command_timeout=_CALL_S)
        try:
            await connection.execute(statement)
        finally:
            await connection.close(timeout=_CALL_S)


def _with_database(url: str, name: str) -> str:
    return urlunsplit(urlsplit(url)._replace(path=f"/{name}"))
