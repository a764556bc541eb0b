"""deploy/compose.yaml as a newcomer runs it: everything ready, and an order that is paid becomes a course."""

import asyncio
import re
import secrets
import shlex
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import aiohttp
import pytest

from services.common.settings import child_environment
from services.processes.catalogue import SERVICES
from services.sandbox.ports import free_ports
from tests.support.eventually import eventually
from tests.support.gateway import order_body
from tests.support.tidy import ROOT

pytestmark = [pytest.mark.docker, pytest.mark.timeout(600)]
STUDENT = "student-000001"
WAIT_S = 400
# As `make docker-up` does it.
(_RECIPE,) = re.findall(
    r"^docker-up:.*\n\t.* exec -T sandbox (.*\\\n.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE
)
BUY = shlex.split(_RECIPE.replace("\\\n", " "))


@dataclass(frozen=True, slots=True, kw_only=True)
class Composed:
    project: str
    gateway_port: int
    sandbox_port: int

    def compose(self, *arguments: str) -> str:
        command = ["docker", "compose", "--file", "deploy/compose.yaml", "--project-name", self.project, *arguments]
        ports = {
            "COURSEPAY_GATEWAY_PORT": str(self.gateway_port),
            "COURSEPAY_SANDBOX_PORT": str(self.sandbox_port),
        }
        done = subprocess.run(
            command, cwd=ROOT, env=child_environment(ports), capture_output=True, text=True, check=False, timeout=500
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout.strip()


@pytest.fixture
def composed() -> Iterator[Composed]:
    gateway_port, sandbox_port = free_ports(2)
    system = Composed(project=f"coursepay-{secrets.token_hex(4)}", gateway_port=gateway_port, sandbox_port=sandbox_port)
    build = ["docker", "build", "--quiet", "--file", "deploy/Dockerfile", "--tag", "coursepay:local", "."]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True, timeout=500)
    try:
        system.compose("up", "--detach", "--wait", "--wait-timeout", str(WAIT_S))
        yield system
    finally:
        system.compose("down", "--volumes", "--timeout", "5")


async def test_an_order_is_paid_and_gets_a_trainer_and_every_service_leaves_in_time(composed: Composed) -> None:
    token = await asyncio.to_thread(
        composed.compose, "exec", "-T", "gateway", "coursepay", "token", "--role", "student", "--subject", STUDENT
    )
    gateway, sandbox = (f"http://127.0.0.1:{port}" for port in (composed.gateway_port, composed.sandbox_port))
    headers = {"Authorization": f"Bearer {token}", "Idempotency-Key": "key-1"}
    async with aiohttp.ClientSession(raise_for_status=True) as http:
        async with http.post(f"{gateway}/api/v1/orders", json=order_body(), headers=headers) as answer:
            order = await answer.json()
        async with http.post(f"{sandbox}/checkout/{order['providerOrderId']}/pay", json={}) as answer:
            callback = await answer.json()
        async with http.post(f"{gateway}/api/v1/payments/confirm", json=callback) as answer:
            assert (await answer.json())["status"] == "succeeded"

        async def allocation() -> Any:  # noqa: ANN401 - JSON
            async with http.get(f"{gateway}/api/v1/payments/{order['orderId']}", headers=headers) as answer:
                return (await answer.json())["allocation"]

        assert (await eventually(allocation, within_s=60))["status"] == "approved"
    story = await asyncio.to_thread(composed.compose, "exec", "-T", "sandbox", *BUY)
    assert re.search(
        r"^paid .* succeeded .*\ntrainer +trainer-\d+, approved: 10 sessions.*\ntrace ", story, re.MULTILINE
    )
    for step in ("payment.succeeded  coursepay-purchase-worker", "trainer.assigned  coursepay-notifier"):
        assert f"── process {step}" in story
    await asyncio.to_thread(composed.compose, "stop", *SERVICES)
    codes = await asyncio.to_thread(
        composed.compose, "ps", "--all", "--format", "{{.Service}} {{.ExitCode}}", *SERVICES
    )
    assert dict(line.split() for line in codes.splitlines()) == dict.fromkeys(SERVICES, "0")
