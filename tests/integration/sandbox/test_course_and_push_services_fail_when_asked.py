from collections.abc import AsyncIterator

import aiohttp
import pytest

from services.common.settings import Settings
from services.sandbox.accounts import sandbox_accounts
from services.sandbox.failures import Failures
from services.sandbox.server import serve_sandbox

MESSAGE = {"studentId": "student-1", "title": "Your course", "body": "is ready", "data": {"orderId": "ord_1"}}


@pytest.fixture
async def sandbox() -> AsyncIterator[aiohttp.ClientSession]:
    async with (
        serve_sandbox(sandbox_accounts(Settings(), ""), port=0, failures=Failures()) as port,
        aiohttp.ClientSession(f"http://127.0.0.1:{port}") as session,
    ):
        yield session


async def _push(sandbox: aiohttp.ClientSession, key: str) -> int:
    async with sandbox.post("/v1/messages", json=MESSAGE, headers={"Idempotency-Key": key}) as answer:
        return answer.status


async def test_a_course_has_a_name_and_an_unknown_one_is_404(sandbox: aiohttp.ClientSession) -> None:
    async with sandbox.get("/courses/course-0001") as answer:
        assert await answer.json() == {"courseId": "course-0001", "name": "Algebra 1"}
    async with sandbox.get("/courses/nothing") as answer:
        assert answer.status == 404


async def test_a_repeated_idempotency_key_is_one_message(sandbox: aiohttp.ClientSession) -> None:
    assert [await _push(sandbox, "a"), await _push(sandbox, "a"), await _push(sandbox, "b")] == [201, 200, 201]
    async with sandbox.get("/control/push") as answer:
        assert await answer.json() == {"messages": 2, "accepted": 3, "repeated": 1, "errorsInjected": 0}


async def test_a_message_without_a_key_is_refused(sandbox: aiohttp.ClientSession) -> None:
    async with sandbox.post("/v1/messages", json=MESSAGE) as answer:
        assert answer.status == 400


async def test_failures_can_be_switched_while_it_runs(sandbox: aiohttp.ClientSession) -> None:
    async with sandbox.put("/control/failures", json={"push": {"errorRate": 0.5}}) as answer:
        assert answer.status == 200
    statuses = [await _push(sandbox, f"key-{number}") for number in range(200)]
    assert 60 < statuses.count(503) < 140
    async with sandbox.get("/control/push") as answer:
        counts = await answer.json()
    # Some answers were lost after the message had been taken.
    assert statuses.count(201) < counts["messages"] < 200
    async with sandbox.put("/control/failures", json={}) as answer:
        assert (await answer.json())["push"]["errorRate"] == 0
    assert await _push(sandbox, "after") == 201


async def test_nonsense_failures_are_refused(sandbox: aiohttp.ClientSession) -> None:
    async with sandbox.put("/control/failures", json={"push": {"errorRate": 2}}) as answer:
        assert answer.status == 422
