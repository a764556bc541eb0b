"""One run per dead-letter topic: a session lock of PostgreSQL, held by the connection that also keeps the progress.

If that connection dies, so does the run: progress is written on no other. The server gives the lock back at once, the
run notices at its next statement, which is after Kafka has answered for the records of the step (DELIVERY_TIMEOUT_S at
most). Another run that begins in between does not find these records yet and sends them again: duplicates, no loss.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import TypeVar

import asyncpg

from services.common.database import Database, Transaction, translated_errors
from services.operations.replay.refusals import RefusedError
from services.operations.replay.steady import steadily

_RUN_S_MAX = 7 * 24 * 3600.0
_STEP_S = 10.0
T = TypeVar("T")
_TAKE = "SELECT pg_try_advisory_lock(hashtextextended('coursepay replay ' || $1, 0))"
_GIVE = "SELECT pg_advisory_unlock(hashtextextended('coursepay replay ' || $1, 0))"


class Session:
    """The connection of one run, for one task."""

    def __init__(self, connection: Transaction) -> None:
        self._connection = connection

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Transaction]:
        """Committed on a normal exit. After _STEP_S the connection is terminated, which ends the run.

        Raises RecordError kinds.
        """
        timer = asyncio.get_running_loop().call_later(_STEP_S, self._connection.terminate)
        try:
            with translated_errors():
                async with self._connection.transaction():
                    yield self._connection
        finally:
            timer.cancel()

    async def step(self, action: Callable[[Transaction], Awaitable[T]]) -> T:
        """`action` in a transaction, tried again when it lost a race for rows."""

        async def once() -> T:
            async with self.transaction() as transaction:
                return await action(transaction)

        return await steadily(once)


@asynccontextmanager
async def hold_topic(database: Database, topic: str) -> AsyncIterator[Session]:
    """Raises RefusedError when another run holds it, RecordError kinds when PostgreSQL goes away."""
    async with database.connection(deadline_s=_RUN_S_MAX) as connection:
        if not await connection.fetchval(_TAKE, topic):
            raise RefusedError(f"another run is replaying {topic}; wait for it or stop it (`coursepay dlq audit`)")
        try:
            yield Session(connection)
        finally:
            # A connection that is gone has given its lock back.
            with suppress(asyncpg.InterfaceError, asyncpg.PostgresError, OSError):
                await connection.execute(_GIVE, topic)
