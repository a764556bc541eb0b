"""PostgreSQL: one pool per process, transactions with a deadline, errors translated once.

A deadline here terminates the connection. asyncpg's own cancel path has none (MagicStack/asyncpg#1326): with a
server that is stopped but connected, a cancelled query waits for ever. So a timer aborts the transport, which
ends every wait on that connection at once, and the pool replaces it.
"""

import asyncio
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import Any

import asyncpg
from asyncpg.pool import PoolConnectionProxy

from services.common.errors import (
    DeadlineError,
    DependencyError,
    ErrorKind,
    PermanentError,
    RecordError,
    TransientError,
    kind_of_sqlstate,
)
from services.common.limits import LOCK_TIMEOUT_S, POOL_ACQUIRE_S
from services.common.settings import PREFIX, Settings

POSTGRESQL = "postgresql"
# The last two: a connection that ends at the wrong moment, as in `Database.connection`.
_UNANSWERED = (
    OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, AttributeError,
)  # fmt: skip
# What a database lacks that was never migrated; a role that is missing is a bad value of a setting to PostgreSQL.
_UNPREPARED = (asyncpg.UndefinedTableError, asyncpg.UndefinedFunctionError, asyncpg.InvalidParameterValueError)
# Until the end of the transaction.
_ALLOW = "SELECT set_config('statement_timeout', $1, true)"
Transaction = PoolConnectionProxy
Row = asyncpg.Record


class Database:
    """Construct with `open_database()`."""

    def __init__(self, pool: "asyncpg.Pool[Row]", *, deadline_s: float, connect: dict[str, Any]) -> None:
        self.pool = pool
        self._deadline_s = deadline_s
        self._connect = connect

    @asynccontextmanager
    async def connection(self, *, deadline_s: float | None = None) -> AsyncIterator[Transaction]:
        """A connection without a transaction, for single statements. Errors are raised as RecordError kinds.

        `deadline_s` (default: the setting DATABASE_DEADLINE) counts from the call, waiting for the pool included. Then
        the connection is terminated, and whatever waits on it raises DeadlineError.
        """
        loop = asyncio.get_running_loop()
        within_s = deadline_s or self._deadline_s
        deadline = loop.time() + within_s
        with translated_errors():
            try:
                connection = await self.pool.acquire(timeout=min(POOL_ACQUIRE_S, within_s))
            except asyncpg.PostgresError as error:
                # A role that is not there has the code of a bad value: whatever it is, no record has to do with it.
                raise DependencyError(
                    _message_of(error), dependency=POSTGRESQL, cause_class=type(error).__name__
                ) from error
            timer = loop.call_at(deadline, _terminate, connection)
            try:
                yield connection
            except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError, AttributeError) as error:
                # A connection that ends between a statement's preparation and its execution: asyncpg then reaches
                # for a protocol that is None.
                if isinstance(error, AttributeError) and not _is_gone(connection):
                    raise
                if loop.time() >= deadline:
                    raise DeadlineError(f"no answer within {within_s:g} s", dependency=POSTGRESQL) from error
                if isinstance(error, AttributeError):
                    raise ConnectionError(f"the connection is gone: {error}") from error
                raise
            finally:
                # Still under the timer: releasing waits for a cancelled query's end. One that is terminated before its
                # release has begun is released by that, and asyncpg says so with an InternalClientError.
                try:
                    with suppress(asyncpg.InternalClientError):
                        await self.pool.release(connection)
                finally:
                    timer.cancel()

    @asynccontextmanager
    async def transaction(self, *, deadline_s: float | None = None) -> AsyncIterator[Transaction]:
        """One READ COMMITTED transaction, committed on a normal exit, rolled back otherwise.

        With a longer deadline than usual its statements may take that long too; asyncpg must be told with each of them
        (`timeout=`), for it has a default of its own.
        """
        async with self.connection(deadline_s=deadline_s) as connection, connection.transaction():
            if deadline_s is not None and deadline_s > self._deadline_s:
                await connection.execute(_ALLOW, milliseconds(deadline_s))
            yield connection

    async def probe(self, *, within_s: float) -> bool:
        """Whether PostgreSQL answers and takes writes, asked on a fresh connection."""
        try:
            async with asyncio.timeout(within_s):
                connection = await asyncpg.connect(**self._connect, timeout=within_s)
        except _UNANSWERED:
            return False
        timer = asyncio.get_running_loop().call_later(within_s, connection.terminate)
        try:
            # On also on a standby that follows another server.
            return bool(await connection.fetchval("SELECT current_setting('transaction_read_only') = 'off'"))
        except _UNANSWERED:
            return False
        finally:
            timer.cancel()
            connection.terminate()


@asynccontextmanager
async def open_database(
    settings: Settings, *, role: str, application: str, connections_max: int | None = None
) -> AsyncIterator[Database]:
    """A pool whose connections act as `role` (a service's role of sql/, e.g. coursepay_gateway).

    Connections are opened when first needed, so that a service starts while PostgreSQL is away.
    """
    connect: dict[str, Any] = {
        "dsn": settings.required_database_url(),
        "server_settings": {
            "role": role,
            "application_name": application,
            "lock_timeout": milliseconds(LOCK_TIMEOUT_S),
            "statement_timeout": milliseconds(settings.database_deadline_s),
            # A process that is stopped, not dead, loses its locks before those who wait for them run out of retries.
            "idle_in_transaction_session_timeout": milliseconds(2 * settings.database_deadline_s),
            "timezone": "UTC",
        },
    }
    pool = asyncpg.create_pool(
        **connect,
        min_size=0,
        max_size=connections_max or settings.database_pool_max,
        timeout=POOL_ACQUIRE_S,
        command_timeout=settings.database_deadline_s,
        # asyncpg's reset query on release costs as much as a statement; nothing of ours leaves session state behind.
        reset=_no_reset,
    )
    try:
        await pool
        yield Database(pool, deadline_s=settings.database_deadline_s, connect=connect)
    finally:
        try:
            async with asyncio.timeout(settings.database_deadline_s):
                await pool.close()
        except TimeoutError:
            pool.terminate()


def milliseconds(seconds: float) -> str:
    """As PostgreSQL's settings want it."""
    return f"{int(seconds * 1000)}ms"


@contextmanager
def translated_errors() -> Iterator[None]:
    """Asyncpg's errors, broken connections and client-side deadlines as RecordError kinds."""
    try:
        yield
    except asyncpg.PostgresError as error:
        raise _from_sqlstate(error) from error
    except (asyncpg.InterfaceError, asyncpg.InternalClientError, OSError, TimeoutError) as error:
        cause = type(error).__name__
        raise DependencyError(f"{cause}: {_told(error)}", dependency=POSTGRESQL, cause_class=cause) from error


def _told(error: Exception) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return (
            f"PostgreSQL's certificate was refused: {error.verify_message.rstrip('.')}"
            f" ({PREFIX}DATABASE_SSL_CA_LOCATION names whom to trust, {PREFIX}DATABASE_URL the server)"
        )
    return str(error)


def _message_of(error: asyncpg.PostgresError) -> str:
    # Without PostgreSQL's DETAIL, which quotes the row: this text travels in headers and logs.
    message = str(error.args[0])
    if isinstance(error, asyncpg.InvalidAuthorizationSpecificationError) and "no encryption" in message:
        return f"{message} (the server wants TLS: {PREFIX}DATABASE_SSL_MODE=verify-full)"
    if isinstance(error, _UNPREPARED) and message.endswith("does not exist"):
        return f"{message} (`coursepay migrate` makes it)"
    return message


def _from_sqlstate(error: asyncpg.PostgresError) -> RecordError:
    message, cause = _message_of(error), type(error).__name__
    match kind_of_sqlstate(error.sqlstate or "XX000"):
        case ErrorKind.PERMANENT:
            return PermanentError(message, cause_class=cause)
        case ErrorKind.DEPENDENCY:
            return DependencyError(message, dependency=POSTGRESQL, cause_class=cause)
        case _:
            return TransientError(message, cause_class=cause)


def _terminate(connection: PoolConnectionProxy) -> None:
    # It may have gone back to the pool at this very moment.
    with suppress(asyncpg.InterfaceError):
        connection.terminate()


def _is_gone(connection: PoolConnectionProxy) -> bool:
    try:
        return connection.is_closed()
    except asyncpg.InterfaceError:
        return True


async def _no_reset(_connection: object) -> None:
    return None
