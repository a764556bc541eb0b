"""Faults of the two servers, which nobody else may be using."""

import asyncio
import os
import signal
from contextlib import suppress

from services.sandbox.stack import Server
from tests.support.chaos.deck import SERVER_AWAY_S


async def restart(server: Server) -> str:
    await asyncio.to_thread(server.stop)
    await asyncio.sleep(SERVER_AWAY_S)
    await asyncio.to_thread(server.start)
    return ""


async def kill(server: Server) -> str:
    """SIGKILL. PostgreSQL recovers from its log, and may be in the middle of a COMMIT."""
    remains = server.remains()
    assert remains is not None
    assert remains.pid is not None, "the chaos tests need servers that are processes of this machine"
    with suppress(ProcessLookupError):
        os.kill(remains.pid, signal.SIGKILL)
    # Reaps it, and waits until it is gone.
    await asyncio.to_thread(server.stop)
    await asyncio.sleep(SERVER_AWAY_S / 2)
    await asyncio.to_thread(server.start)
    return ""


async def pause(server: Server) -> str:
    """SIGSTOP: connections stay open, nothing answers."""
    server.pause()
    try:
        await asyncio.sleep(SERVER_AWAY_S)
    finally:
        server.resume()
    return ""
