"""Partitions come while PostgreSQL is starting up, or silent: the worker pauses, its consumers stay in their groups,
and no attempt is used. Nobody waits inside a rebalance callback, which would hold up the whole group.
"""

import asyncio
import struct
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager

import pytest
from pydantic import SecretStr

from services.common.settings import Settings
from services.common.topics import Topics
from services.operations.topic_reader import read_topics
from tests.support.chaos.proxy import port_in, proxy_to
from tests.support.engine import (
    WORKER,
    Notebook,
    free_port,
    handled,
    health_of,
    is_idle,
    put,
    record_of,
    running_worker,
    sample_of,
)
from tests.support.events import payment_succeeded
from tests.support.eventually import eventually

ORDERS = [f"ord_{number}" for number in range(10)]
POLLED_S = 5.0
_FIELDS = (b"SFATAL", b"VFATAL", b"C57P03", b"Mthe database system is starting up")
_STARTING_UP = b"".join(field + b"\0" for field in _FIELDS) + b"\0"
_SSL_REQUEST = 80877103
Answer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Coroutine[None, None, None]]


async def say_starting_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """As the server itself does until its log is replayed."""
    try:
        (length,) = struct.unpack("!I", await reader.readexactly(4))
        (code,) = struct.unpack("!I", (await reader.readexactly(length - 4))[:4])
        if code == _SSL_REQUEST:
            writer.write(b"N")
            (length,) = struct.unpack("!I", await reader.readexactly(4))
            await reader.readexactly(length - 4)
        writer.write(b"E" + struct.pack("!I", 4 + len(_STARTING_UP)) + _STARTING_UP)
        await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        pass
    finally:
        writer.close()


async def say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while await reader.read(1024):
            pass
    except ConnectionError:
        pass
    finally:
        writer.close()


@asynccontextmanager
async def instead_of_postgresql(port: int, answer: Answer) -> AsyncIterator[None]:
    async with await asyncio.start_server(answer, "127.0.0.1", port):
        yield


@pytest.mark.parametrize("answer", [say_starting_up, say_nothing])
async def test_it_holds_still_and_then_does_everything(ladder: Settings, answer: Answer) -> None:
    await put(ladder, *(record_of(ladder, payment_succeeded(order)) for order in ORDERS))
    url = ladder.required_database_url()
    port = free_port()
    own = ladder.model_copy(
        update={"metrics_port": free_port(), "database_url": SecretStr(url.replace(f":{port_in(url)}/", f":{port}/"))}
    )
    notebook = Notebook()
    async with AsyncExitStack() as away:
        await away.enter_async_context(instead_of_postgresql(port, answer))
        async with running_worker(own, notebook.shape):
            await eventually(lambda: _is_paused(own), within_s=60)
            await _stays_in_its_groups(own)
            assert not notebook.batches
            await away.aclose()
            async with proxy_to(port_in(url), own_port=port):
                await eventually(lambda: is_idle(own), within_s=60, every_s=0.5)
    assert set(await handled(url)) == set(ORDERS)
    topics = Topics.of(own)
    assert await read_topics(own, [*topics.tiers(WORKER), topics.dead_letters(WORKER)]) == []


async def _stays_in_its_groups(settings: Settings) -> None:
    """It was given all partitions of both groups, and polls."""
    await eventually(lambda: sample_of(settings, "coursepay_assigned_partitions"), within_s=60)
    assert time.time() - await sample_of(settings, "coursepay_poll_loop_last_poll_timestamp_seconds") < POLLED_S
    assert await health_of(settings, "live") == 200


async def _is_paused(settings: Settings) -> bool:
    return await sample_of(settings, "coursepay_worker_paused", reason="dependency") == 1
