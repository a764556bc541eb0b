"""kill -9 of each service while payments flow, and a new process in its place: the books balance all the same."""

import asyncio
from pathlib import Path

import pytest

from services.processes.catalogue import SERVICES
from services.sandbox.demo.system import System
from services.sandbox.stack import Stack
from tests.support.demo import assert_balanced, plan_of, shown_on

DOWN_S = 1.0


@pytest.mark.timeout(240)
@pytest.mark.parametrize("service", SERVICES)
async def test_killed_and_started_again(stack: Stack, tmp_path: Path, service: str) -> None:
    plan = plan_of(payments=60, rate=12, seed=11)

    async def kill(system: System) -> None:
        await asyncio.sleep(plan.duration_s / 2)
        child = system.children[service]
        before = child.pid
        await child.kill()
        await asyncio.sleep(DOWN_S)
        await child.start()
        await child.wait_until_ready()
        assert child.pid != before

    shown = await shown_on(stack, tmp_path, plan, meanwhile=kill)
    assert_balanced(shown, plan)
