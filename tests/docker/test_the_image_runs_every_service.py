"""The image of deploy/Dockerfile as an orchestrator runs it: nobody's root, a root that is read-only, gone in time."""

import asyncio
import json
import re
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import aiohttp
import pytest

from services.common.limits import DRAIN_BUDGET_S
from services.common.settings import PREFIX, Settings
from services.processes.catalogue import SERVICES
from services.sandbox.ports import free_ports
from tests.support.eventually import eventually
from tests.support.tidy import ROOT

pytestmark = [pytest.mark.docker, pytest.mark.timeout(400)]
IMAGE = "coursepay:tests"
ADDED_BYTES_MAX = 125_000_000
HARDENED = ("--read-only", "--cap-drop=ALL", "--security-opt=no-new-privileges", "--tmpfs=/tmp", "--network=host")


def docker(*arguments: str) -> str:
    done = subprocess.run(["docker", *arguments], capture_output=True, text=True, check=False, timeout=300, cwd=ROOT)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.strip()


@pytest.fixture(scope="module")
def image() -> str:
    docker("build", "--quiet", "--file", "deploy/Dockerfile", "--tag", IMAGE, ".")
    return IMAGE


@contextmanager
def container(image: str, settings: Settings, service: str, port: int) -> Iterator[str]:
    """Its id. Of the host's network, since the servers of tests listen on loopback."""
    values = {
        "DATABASE_URL": settings.required_database_url(),
        "KAFKA_BOOTSTRAP_SERVERS": settings.required_bootstrap_servers(),
        "KAFKA_TOPIC_PREFIX": settings.kafka_topic_prefix,
        "KAFKA_PARTITIONS": str(settings.kafka_partitions),
        "GATEWAY_HOST": "127.0.0.1",
        "GATEWAY_PORT": str(port),
        "METRICS_PORT": str(port),
        "RAZORPAY_KEY_ID": "key",
        "RAZORPAY_KEY_SECRETS": "secret",
    }
    environment = [f"--env={PREFIX}{name}={value}" for name, value in values.items()]
    volume = "--tmpfs=/var/lib/coursepay:mode=0700,uid=10001,gid=10001"
    started = docker("run", "--detach", *HARDENED, volume, *environment, image, "run", service)
    try:
        yield started
    finally:
        docker("rm", "--force", started)


@asynccontextmanager
async def answering(url: str) -> AsyncIterator[None]:
    async with aiohttp.ClientSession() as http:

        async def is_ok() -> bool:
            try:
                async with http.get(url) as answer:
                    return answer.status == 200
            except aiohttp.ClientError:
                return False

        await eventually(is_ok, within_s=90)
        yield


@pytest.mark.parametrize("service", SERVICES)
async def test_a_service_answers_and_leaves_in_time(image: str, settings: Settings, service: str) -> None:
    (port,) = free_ports(1)
    with container(image, settings, service, port) as started:
        async with (
            answering(f"http://127.0.0.1:{port}/health/live"),
            answering(f"http://127.0.0.1:{port}/health/ready"),
        ):
            began = time.monotonic()
            await asyncio.to_thread(docker, "stop", "--time", str(int(DRAIN_BUDGET_S) + 10), started)
        state = json.loads(docker("inspect", "--format", "{{json .State}}", started))
        assert time.monotonic() - began < DRAIN_BUDGET_S
        assert (state["ExitCode"], state["OOMKilled"]) == (0, False), docker("logs", started)
        assert '"event":"service_stopped"' in docker("logs", started)


def test_it_adds_little_to_what_it_is_built_on(image: str) -> None:
    """Half of what an image may weigh; the other half is the base's, whose size is not ours."""
    bases = re.findall(r"^FROM (\S+)", (ROOT / "deploy" / "Dockerfile").read_text(), re.MULTILINE)
    ours, base = (int(docker("image", "inspect", "--format", "{{.Size}}", name)) for name in (image, bases[-1]))

    assert ours - base < ADDED_BYTES_MAX


def test_it_is_nobody_s_root_and_holds_no_tools_to_build_with(image: str) -> None:
    user = docker("inspect", "--format", "{{.Config.User}}", image)
    shell = ("run", "--rm", *HARDENED, "--entrypoint", "sh", image, "-c")

    assert user.split(":")[0].isdecimal()
    assert user.split(":")[0] != "0"
    assert docker(*shell, "id -u") == user.split(":")[0]
    assert docker(*shell, "touch /app/x 2>&1 || true").endswith("Read-only file system")
    assert docker(*shell, "command -v gcc git make || echo none") == "none"
