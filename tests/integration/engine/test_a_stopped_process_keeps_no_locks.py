"""A process that is stopped in a transaction, and not dead, would hold row locks until all who wait for them have used
up their retries. PostgreSQL ends the transaction after twice the deadline.
"""

import asyncio

import asyncpg

from services.common.database import open_database
from services.common.settings import Settings
from tests.support.engine import ROLE, execute, make_table
from tests.support.eventually import eventually

LOCK = "SELECT FROM handled WHERE order_id = 'ord_1' FOR UPDATE NOWAIT"


async def test_a_lock_is_free_again_after_twice_the_deadline(settings: Settings) -> None:
    url = settings.required_database_url()
    await make_table(url)
    await execute(url, "INSERT INTO handled (order_id) VALUES ('ord_1')")
    hasty = settings.model_copy(update={"database_deadline": "500ms"})
    async with open_database(hasty, role=ROLE, application="test") as database, database.pool.acquire() as stopped:
        waiting = await asyncpg.connect(url)
        # As from a process that got this far: neither COMMIT nor ROLLBACK follows.
        await stopped.execute("BEGIN")
        await stopped.execute(LOCK)
        try:
            assert not await _is_free(waiting)
            await eventually(lambda: _is_free(waiting), within_s=20)
        finally:
            await asyncio.wait_for(waiting.close(), 5)


async def _is_free(connection: "asyncpg.Connection[asyncpg.Record]") -> bool:
    try:
        await connection.execute(LOCK)
    except asyncpg.LockNotAvailableError:
        return False
    return True
