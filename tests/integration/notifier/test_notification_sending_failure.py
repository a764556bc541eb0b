"""A push that fails is tried again later, or never; the row says failed until one succeeds."""

import pytest

from services.common.database import Database
from services.engine.outcomes import Dead, Done, Retry
from tests.support.events import purchase_created
from tests.support.notifying import open_desk
from tests.support.outside import OutsideStub

EVENT = purchase_created("ord_1")


@pytest.mark.parametrize("status", [500, 503, 429, 302])
async def test_what_may_work_later_is_retried(database: Database, push: OutsideStub, status: int) -> None:
    push.answer = lambda _asked: (status, {})
    async with open_desk(database, push_url=push.url) as desk:
        outcome = await desk.notifier.notify(EVENT)
        assert isinstance(outcome, Retry)
        assert outcome.error.cause_class == f"Http{status}"
        assert await desk.statuses() == ["failed"]


@pytest.mark.parametrize("status", [400, 404, 422])
async def test_what_is_refused_is_a_dead_letter(database: Database, push: OutsideStub, status: int) -> None:
    push.answer = lambda _asked: (status, {})
    async with open_desk(database, push_url=push.url) as desk:
        assert isinstance(await desk.notifier.notify(EVENT), Dead)
        assert await desk.statuses() == ["failed"]


async def test_a_slow_service_is_given_up_and_retried(database: Database, push: OutsideStub) -> None:
    push.delay_s = 5.0
    async with open_desk(database, push_url=push.url, within_s=0.2) as desk:
        outcome = await desk.notifier.notify(EVENT)
        assert isinstance(outcome, Retry)
        assert outcome.error.cause_class == "TimeoutError"


async def test_an_answer_without_end_is_given_up(database: Database, push: OutsideStub) -> None:
    push.answer = lambda _asked: (200, b"x" * 1_000_000)
    async with open_desk(database, push_url=push.url) as desk:
        outcome = await desk.notifier.notify(EVENT)
        assert isinstance(outcome, Retry)
        assert outcome.error.cause_class == "BodyTooLarge"


async def test_a_later_success_makes_the_row_sent(database: Database, push: OutsideStub) -> None:
    push.answer = lambda _asked: (503, {})
    async with open_desk(database, push_url=push.url) as desk:
        await desk.notifier.notify(EVENT)
        push.answer = lambda _asked: (201, {})
        assert await desk.notifier.notify(EVENT) == Done()
        assert await desk.statuses() == ["sent"]
