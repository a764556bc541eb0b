"""What the gateway's tables say in the end."""

from typing import Any

from services.common.codec import EncodedEvent, load_codec
from services.common.events import Event
from tests.support.gateway import owner_connection


async def payment_row(database_url: str, order_id: str) -> dict[str, Any]:
    async with owner_connection(database_url) as connection:
        row = await connection.fetchrow("SELECT * FROM payments WHERE order_id = $1", order_id)
    assert row is not None
    return dict(row)


async def fact_rows(database_url: str) -> list[dict[str, Any]]:
    async with owner_connection(database_url) as connection:
        return [dict(row) for row in await connection.fetch("SELECT * FROM payment_facts ORDER BY id")]


async def task_rows(database_url: str, kind: str) -> list[dict[str, Any]]:
    async with owner_connection(database_url) as connection:
        rows = await connection.fetch("SELECT * FROM payment_tasks WHERE kind = $1 ORDER BY created_at", kind)
    return [dict(row) for row in rows]


async def outbox_events(database_url: str, *, published: bool | None = None) -> list[Event]:
    """In the order in which they were written; all, or only those that are (not) published."""
    codec = load_codec()
    async with owner_connection(database_url) as connection:
        rows = await connection.fetch("SELECT * FROM outbox ORDER BY id")
    return [
        codec.decode_body(EncodedEvent(type=row["type"], version=row["version"], body=row["payload"]))
        for row in rows
        if published is None or (row["published_at"] is not None) is published
    ]


async def make_due(database_url: str, kind: str) -> None:
    async with owner_connection(database_url) as connection:
        await connection.execute("UPDATE payment_tasks SET due_at = now() WHERE kind = $1 AND done_at IS NULL", kind)
