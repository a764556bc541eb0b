"""The course's name is an ornament: without it the message goes out with the course's id."""

import pytest

from services.common.database import Database
from services.engine.outcomes import Done
from services.sandbox.ports import free_ports
from tests.support.events import purchase_created
from tests.support.notifying import open_desk
from tests.support.outside import OutsideStub


@pytest.mark.parametrize(
    "answer", [(503, {}), (404, {}), (200, b"no json"), (200, {"name": 7}), (200, {"name": " "}), (200, [])]
)
async def test_whatever_it_answers_the_message_goes_out(
    database: Database, push: OutsideStub, courses: OutsideStub, answer: tuple[int, object]
) -> None:
    courses.answer = lambda _asked: answer
    async with open_desk(database, push_url=push.url, course_url=courses.url) as desk:
        assert await desk.notifier.notify(purchase_created("ord_1")) == Done()
    assert push.asked[0].body["body"] == "You have 10 sessions of course-0001."


async def test_nobody_there_is_no_reason_to_pause(database: Database, push: OutsideStub) -> None:
    (nobody,) = free_ports(1)
    async with open_desk(database, push_url=push.url, course_url=f"http://127.0.0.1:{nobody}") as desk:
        assert await desk.notifier.notify(purchase_created("ord_1")) == Done()


async def test_a_slow_one_is_asked_a_few_times_and_then_left_alone(
    database: Database, push: OutsideStub, courses: OutsideStub
) -> None:
    courses.delay_s = 5.0
    async with open_desk(database, push_url=push.url, course_url=courses.url, within_s=1.0) as desk:
        for number in range(20):
            assert await desk.notifier.notify(purchase_created(f"ord_{number}")) == Done()
        # One that was never heard, because the machine did other things, counts as slow too.
        assert 1 <= len(courses.asked) <= 5
        assert desk.circuit_of("course_service") == 2
    assert len(push.asked) == 20
