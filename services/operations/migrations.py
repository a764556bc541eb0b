"""Applies sql/ to a database: roles, extension, migrations in order, holidays.

pogo-migrate runs the files. It takes no lock and accepts a file that was edited after it ran, so both are done here:
one migrator per database at a time, and the SHA-256 of each applied file compared. A checksum is written before its
file runs: whatever ends in between, an applied file always has one.
"""

import hashlib
import logging
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypeAlias, cast

import asyncpg
from pogo_core.error import BadMigrationError
from pogo_core.util.migrate import apply

from services.common.database import Transaction, translated_errors
from services.common.errors import ConfigurationError
from services.gateway_api.admin.holiday_calendar import fill_holidays, holidays_of
from services.gateway_api.web.problems import Problem
from services.operations.database_roles import OWNER, ensure_roles

SQL_DIRECTORY = Path(__file__).resolve().parents[2] / "sql"
Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"

_CONNECT_S = 10.0
# Another migrator may be at work; but a migration that waits for a table blocks everyone behind it, so not for long.
_TURN_TIMEOUT = "120s"
_TABLE_TIMEOUT = "10s"
_LOCK = "SELECT pg_advisory_lock(hashtextextended('coursepay migrate', 0))"
_SCHEMA = "public"
_CALENDAR = "IN"
# Connection, resources, lock timeout, shutdown, system: another time the same file may pass.
_SERVERS_FAULT = frozenset({"08", "53", "55", "57", "58"})
_CHECKSUMS = """
CREATE TABLE IF NOT EXISTS migration_checksums (
    name text PRIMARY KEY,
    sha256 text NOT NULL
)
"""
_REMEMBER = """
INSERT INTO migration_checksums (name, sha256) VALUES ($1, $2)
ON CONFLICT (name) DO UPDATE SET sha256 = excluded.sha256
"""
_APPLIED = """
SELECT migration_id, sha256
  FROM _pogo_migration LEFT JOIN migration_checksums ON name = migration_id
"""


async def migrate(database_url: str, directory: Path = SQL_DIRECTORY) -> Sequence[str]:
    """Brings the database to the newest of `directory`; returns the names of the files applied now.

    Safe to call from several processes at once, also for different databases of one server. Raises ConfigurationError
    for an edited or broken file and for a login that may not do it, RecordError kinds when PostgreSQL does not answer.
    """
    with translated_errors():
        async with _connected(database_url) as connection:
            await connection.execute(_LOCK)
            await connection.execute(f"SET lock_timeout = '{_TABLE_TIMEOUT}'")
            await _prepare(connection)
            await connection.execute(f"SET ROLE {OWNER}")
            applied = await _apply(connection, directory)
            await _fill_holidays(connection)
            return applied


@asynccontextmanager
async def _connected(database_url: str) -> AsyncIterator[Connection]:
    connection = await asyncpg.connect(
        database_url,
        timeout=_CONNECT_S,
        server_settings={
            "application_name": "coursepay-migrate",
            "lock_timeout": _TURN_TIMEOUT,
            "search_path": _SCHEMA,
            "client_min_messages": "warning",
        },
    )
    try:
        yield connection
    finally:
        # Ends the advisory lock too.
        await connection.close(timeout=_CONNECT_S)


async def _prepare(connection: Connection) -> None:
    """What only the login can do: the roles, the extension, and that the owner may create in the schema."""
    try:
        await ensure_roles(connection)
        if not await connection.fetchval("SELECT EXISTS (SELECT FROM pg_extension WHERE extname = 'btree_gist')"):
            await connection.execute(f"CREATE EXTENSION btree_gist SCHEMA {_SCHEMA}")
        if not await connection.fetchval("SELECT has_schema_privilege($1, $2, 'CREATE')", OWNER, _SCHEMA):
            await connection.execute(f"GRANT USAGE, CREATE ON SCHEMA {_SCHEMA} TO {OWNER}")
    except asyncpg.InsufficientPrivilegeError as error:
        raise ConfigurationError(
            f"the login of COURSEPAY_DATABASE_URL must own the database and may have to create roles: {error}"
        ) from error


async def _apply(connection: Connection, directory: Path) -> Sequence[str]:
    files = _files(directory)
    await connection.execute(_CHECKSUMS)
    before = await _applied(connection)
    _compare(files, before)
    pending = [name for name in files if name not in before]
    for name in pending:
        await connection.execute(_REMEMBER, name, files[name])
    try:
        await apply(connection, directory, schema_name=_SCHEMA, logger=_quiet_log())
    except BadMigrationError as error:
        raise _told(error) from error
    return pending


def _files(directory: Path) -> Mapping[str, str]:
    """Name -> SHA-256, in order."""
    files = {path.stem: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(directory.glob("*.sql"))}
    if not files:
        raise ConfigurationError(f"there are no migrations in {directory}")
    return files


def _told(error: BadMigrationError) -> Exception:
    """Whether the file or the server is to blame, which pogo's error wraps alike."""
    match error.__cause__:
        case asyncpg.PostgresError() as cause if (cause.sqlstate or "")[:2] not in _SERVERS_FAULT:
            return ConfigurationError(f"{error}: {cause}")
        case asyncpg.PostgresError() | asyncpg.InterfaceError() | OSError() as cause:
            return cause
        case _:
            return ConfigurationError(
                f"{error} A migration begins with one line of comment, its `-- depends:` and `-- migrate: apply`"
            )


def _quiet_log() -> logging.Logger:
    """What was applied is told by what `migrate` returns; pogo would warn of it."""
    log = logging.getLogger("pogo")
    log.setLevel(logging.ERROR)
    return log


async def _applied(connection: Connection) -> Mapping[str, str | None]:
    """Name -> SHA-256 of the file as it was applied."""
    if not await connection.fetchval("SELECT to_regclass('_pogo_migration') IS NOT NULL"):
        return {}
    return {row["migration_id"]: row["sha256"] for row in await connection.fetch(_APPLIED)}


def _compare(files: Mapping[str, str], applied: Mapping[str, str | None]) -> None:
    for name, sha256 in sorted(applied.items()):
        if name not in files:
            raise ConfigurationError(
                f"the database has the migration {name}, which sql/ does not: this release is older than the database"
            )
        if files[name] != sha256:
            raise ConfigurationError(
                f"sql/{name}.sql was edited after it had been applied; restore it and add a new migration instead"
            )


async def _fill_holidays(connection: Connection) -> None:
    """For the calendars in use, and India's, so that a first course finds them."""
    calendars = {row["calendar"] for row in await connection.fetch("SELECT DISTINCT calendar FROM courses")}
    for calendar in sorted(calendars | {_CALENDAR}):
        try:
            days = await holidays_of(calendar)
        except Problem:
            # A calendar that the library does not know came in past the API; its course observes no holidays.
            continue
        # The same methods; a Transaction is a connection that a pool lends.
        await fill_holidays(cast("Transaction", connection), calendar, days)
