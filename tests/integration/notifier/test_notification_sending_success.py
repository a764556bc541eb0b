"""Every event that a student hears of is pushed once."""

from services.common.database import Database
from services.engine.outcomes import Done
from tests.support.events import purchase_created
from tests.support.notifying import open_desk
from tests.support.outside import OutsideStub


async def test_the_push_has_the_event_as_its_key_and_the_courses_name(
    database: Database, push: OutsideStub, courses: OutsideStub
) -> None:
    event = purchase_created("ord_1")
    async with open_desk(database, push_url=push.url, course_url=courses.url) as desk:
        assert await desk.notifier.notify(event) == Done()
        assert await desk.statuses() == ["sent"]
    (sent,) = push.asked
    assert (sent.method, sent.path) == ("POST", "/v1/messages")
    assert sent.headers["Idempotency-Key"] == str(event.event_id)
    assert set(sent.body) == {"studentId", "title", "body", "data"}
    assert sent.body["studentId"] == "student-1"
    assert sent.body["body"] == "You have 10 sessions of Algebra 1."
    assert [asked.path for asked in courses.asked] == ["/courses/course-0001"]


async def test_a_redelivered_event_is_not_pushed_again(database: Database, push: OutsideStub) -> None:
    event = purchase_created("ord_1")
    async with open_desk(database, push_url=push.url) as desk:
        await desk.notifier.notify(event)
        assert await desk.notifier.notify(event) == Done(result="duplicate")
        assert await desk.statuses() == ["sent"]
    assert len(push.asked) == 1


async def test_a_courses_name_is_asked_for_once(database: Database, push: OutsideStub, courses: OutsideStub) -> None:
    async with open_desk(database, push_url=push.url, course_url=courses.url) as desk:
        for number in range(3):
            await desk.notifier.notify(purchase_created(f"ord_{number}"))
    assert len(courses.asked) == 1
    assert len(push.asked) == 3


async def test_without_a_push_service_messages_are_skipped(database: Database) -> None:
    async with open_desk(database, push_url=None) as desk:
        assert await desk.notifier.notify(purchase_created("ord_1")) == Done()
        assert await desk.notifier.notify(purchase_created("ord_1")) == Done(result="duplicate")
        assert await desk.statuses() == ["skipped"]
