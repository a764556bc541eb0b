"""After an outage the statistics still say that nothing waits; a claim must not read all that waits for each row."""

from datetime import timedelta
from uuid import uuid4

from services.gateway_api.publishing.outbox import _BLOCKED, _CLAIM
from tests.support.gateway import owner_connection
from tests.support.plans import explained

_ROWS = """
INSERT INTO outbox (order_id, order_seq, event_id, type, version, payload, published_at, attempts)
SELECT $1 || n, 1, gen_random_uuid(), 'PaymentSucceeded', 1, '\\x00', CASE WHEN $3 THEN now() END, $4
  FROM generate_series(1, $2::int) AS n
"""
_PUBLISHED, _WAITING, _CLAIMED = 20_000, 3_000, 500


async def test_each_claimed_row_looks_at_its_own_order_only(database_url: str) -> None:
    async with owner_connection(database_url) as connection:
        await connection.execute(_ROWS, "old-", _PUBLISHED, True, 0)
        await connection.execute("VACUUM ANALYZE outbox")
        await connection.execute(_ROWS, "new-", _WAITING, False, 0)
        async with explained(connection) as plans:
            claimed = await connection.fetch(_CLAIM, uuid4(), timedelta(seconds=30), _CLAIMED)
    assert len(claimed) == _CLAIMED
    assert plans.rows_of("outbox") < 2 * _WAITING + 10 * _CLAIMED


async def test_each_blocked_row_looks_at_its_own_order_only(database_url: str) -> None:
    async with owner_connection(database_url) as connection:
        await connection.execute(_ROWS, "old-", _PUBLISHED, True, 0)
        await connection.execute("VACUUM ANALYZE outbox")
        await connection.execute(_ROWS, "new-", _WAITING, False, 1)
        async with explained(connection) as plans:
            blocked = await connection.fetch(_BLOCKED, None, None, 100)
    assert len(blocked) == 100
    assert plans.rows_of("outbox") < 2 * _WAITING
