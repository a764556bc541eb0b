"""Faults of the two servers, which nobody else may be using."""

import asyncio
import os
import random
import signal
from contextlib import suppress

import psutil

from services.sandbox.stack import Server
from tests.support.chaos.deck import SERVER_AWAY_S
from tests.support.chaos.proxy import Proxy

_COMMIT_WITHIN_S = 15.0
# Before, while and after it is written to the disk.
_INTO_COMMIT_S = 0.004


async def restart(server: Server) -> str:
    await asyncio.to_thread(server.stop)
    await asyncio.sleep(SERVER_AWAY_S)
    await asyncio.to_thread(server.start)
    return ""


async def kill(server: Server) -> str:
    """SIGKILL. PostgreSQL recovers from its log."""
    _kill_all([_pid_of(server)])
    await _start_again(server)
    return ""


async def kill_in_commit(server: Server, proxy: Proxy, dice: random.Random) -> str:
    """SIGKILL to PostgreSQL and each of its processes while a COMMIT is under way, whose answer nobody ever gets."""
    postmaster = _pid_of(server)
    # Known beforehand: looking for them takes longer than a COMMIT.
    family = [postmaster, *(child.pid for child in psutil.Process(postmaster).children(recursive=True))]
    held = await proxy.hold_commit(within_s=_COMMIT_WITHIN_S)
    await asyncio.sleep(dice.uniform(0, _INTO_COMMIT_S))
    _kill_all(family)
    await proxy.release()
    await _start_again(server)
    return f"{len(family)} processes, {'a' if held else 'no'} COMMIT under way"


async def pause(server: Server) -> str:
    """SIGSTOP: connections stay open, nothing answers."""
    server.pause()
    try:
        await asyncio.sleep(SERVER_AWAY_S)
    finally:
        server.resume()
    return ""


def _pid_of(server: Server) -> int:
    remains = server.remains()
    assert remains is not None
    assert remains.pid is not None, "the chaos tests need servers that are processes of this machine"
    return remains.pid


def _kill_all(pids: list[int]) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


async def _start_again(server: Server) -> None:
    # Reaps it, and waits until it is gone.
    await asyncio.to_thread(server.stop)
    await asyncio.sleep(SERVER_AWAY_S / 2)
    await asyncio.to_thread(server.start)
