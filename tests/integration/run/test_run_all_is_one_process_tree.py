"""`coursepay run all` as a person runs it: every service becomes ready, and nothing stays behind."""

import asyncio
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

from services.common.settings import PREFIX, Settings
from services.processes.catalogue import WITH_METRICS_PORT
from tests.support.eventually import eventually
from tests.support.processes import descendants, runs

_READY_WITHIN_S = 90.0


def free_run(count: int) -> int:
    """The first of `count` ports in a row that nobody listens on."""
    for first in range(21_000 + os.getpid() % 1000 * 10, 60_000, count):
        held = []
        try:
            held = [socket.create_server(("127.0.0.1", first + number)) for number in range(count)]
        except OSError:
            continue
        finally:
            for server in held:
                server.close()
        if len(held) == count:
            return first
    raise AssertionError("no free ports")


def environment(settings: Settings, first_port: int) -> dict[str, str]:
    """The gateway's port is the first, the metrics ports follow."""
    values = {
        "KAFKA_BOOTSTRAP_SERVERS": settings.required_bootstrap_servers(),
        "KAFKA_TOPIC_PREFIX": settings.kafka_topic_prefix,
        "KAFKA_PARTITIONS": str(settings.kafka_partitions),
        "DATABASE_URL": settings.required_database_url(),
        "STATE_DIRECTORY": str(settings.state_directory),
        "GATEWAY_PORT": str(first_port),
        "METRICS_PORT": str(first_port + 1),
    }
    return {"PATH": os.defpath, **{PREFIX + name: value for name, value in values.items()}}


@asynccontextmanager
async def run_all(values: Mapping[str, str]) -> AsyncIterator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(
        Path(sys.executable).with_name("coursepay"),
        "run",
        "all",
        env=values,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def until_ready(first_port: int) -> None:
    async with aiohttp.ClientSession() as http:

        async def all_ready() -> bool:
            for number in range(1 + len(WITH_METRICS_PORT)):
                try:
                    async with http.get(f"http://127.0.0.1:{first_port + number}/health/ready") as answer:
                        if answer.status != 200:
                            return False
                except aiohttp.ClientError:
                    return False
            return True

        await eventually(all_ready, within_s=_READY_WITHIN_S, every_s=0.5)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_ctrl_c_and_sigterm_leave_no_process(settings: Settings, number: signal.Signals) -> None:
    first_port = free_run(1 + len(WITH_METRICS_PORT))
    async with run_all(environment(settings, first_port)) as process:
        await until_ready(first_port)
        family = descendants(process.pid)
        assert len(family) == 5
        process.send_signal(number)
        assert await asyncio.wait_for(process.wait(), timeout=60) == 0
        assert not any(map(runs, family))


async def test_a_killed_supervisor_takes_its_children_along(settings: Settings) -> None:
    first_port = free_run(1 + len(WITH_METRICS_PORT))
    async with run_all(environment(settings, first_port)) as process:
        await eventually(lambda: len(descendants(process.pid)) == 5)
        family = descendants(process.pid)
        process.kill()
        await process.wait()
        await eventually(lambda: not any(map(runs, family)))


async def test_a_port_in_use_is_one_sentence_and_exit_code_2(settings: Settings) -> None:
    first_port = free_run(1 + len(WITH_METRICS_PORT))
    with socket.create_server(("127.0.0.1", first_port + 2)):
        async with run_all(environment(settings, first_port)) as process:
            _, told = await asyncio.wait_for(process.communicate(), timeout=60)
            assert process.returncode == 2
            (sentence,) = [line for line in told.decode().splitlines() if line]
            assert f"127.0.0.1:{first_port + 2}" in sentence
            assert "COURSEPAY_METRICS_PORT" in sentence


async def test_a_missing_setting_is_one_sentence_and_exit_code_2(settings: Settings) -> None:
    values = environment(settings, 8080)
    del values[f"{PREFIX}DATABASE_URL"]
    async with run_all(values) as process:
        _, told = await asyncio.wait_for(process.communicate(), timeout=60)
        assert process.returncode == 2
        (sentence,) = told.decode().splitlines()
        assert "COURSEPAY_DATABASE_URL" in sentence
