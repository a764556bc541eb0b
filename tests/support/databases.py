"""Databases of a test's own: clones of a migrated template, so that tests commit for real and never meet."""

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit, urlunsplit

import asyncpg


async def create_database(url: str, name: str, *, template: str = "template1") -> str:
    """The address of the new database on the server of `url`."""
    await _execute(url, f'CREATE DATABASE "{name}" TEMPLATE "{template}" STRATEGY file_copy')
    return _address(url, name)


async def drop_database(url: str, name: str) -> None:
    await _execute(url, f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')


@asynccontextmanager
async def cloned_database(template_url: str) -> AsyncIterator[str]:
    template = urlsplit(template_url).path.removeprefix("/")
    maintenance = _address(template_url, "postgres")
    name = f"coursepay_test_{secrets.token_hex(6)}"
    try:
        yield await create_database(maintenance, name, template=template)
    finally:
        await drop_database(maintenance, name)


def _address(url: str, name: str) -> str:
    return urlunsplit(urlsplit(url)._replace(path=f"/{name}"))


async def _execute(url: str, statement: str) -> None:
    connection = await asyncpg.connect(url, timeout=20, command_timeout=60)
    try:
        await connection.execute(statement)
    finally:
        await connection.close(timeout=5)
