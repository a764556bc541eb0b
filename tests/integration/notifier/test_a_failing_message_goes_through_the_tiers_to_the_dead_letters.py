"""The notifier as a whole: real topics, its real tiers with shorter delays."""

from services.common.database import Database
from services.common.settings import Settings
from services.common.topic_admin import apply_topics
from services.notifier.__main__ import serve
from tests.support.events import purchase_created
from tests.support.eventually import eventually
from tests.support.outside import OutsideStub
from tests.support.services import announce, dead_letters, lag_of, on_tier, running

DELAYS = ("100ms", "200ms", "400ms")


async def quick(settings: Settings, push: OutsideStub, courses: OutsideStub) -> Settings:
    chosen = settings.model_copy(
        update={"retry_delays": ",".join(DELAYS), "push_url": push.url, "course_service_url": courses.url}
    )
    await apply_topics(chosen)
    return chosen


async def statuses(database: Database) -> dict[str, str]:
    async with database.connection() as connection:
        return {row["order_id"]: row["status"] for row in await connection.fetch("SELECT * FROM notifications")}


async def test_one_that_always_fails_is_tried_four_times_and_blocks_nothing(
    settings: Settings, database: Database, push: OutsideStub, courses: OutsideStub
) -> None:
    push.answer = lambda asked: (500 if asked.body["studentId"] == "student-bad" else 201, {})
    chosen = await quick(settings, push, courses)
    bad = purchase_created("ord_bad", student_id="student-bad")
    good = [purchase_created(f"ord_{number}") for number in range(20)]
    async with running(chosen, serve):
        await announce(chosen, bad, *good)

        async def is_dead() -> bool:
            return bool(await dead_letters(chosen, "notifier"))

        await eventually(is_dead, within_s=60)
        (letter,) = await dead_letters(chosen, "notifier")
        assert letter.header("error-class") == "Http500"
        assert letter.header("retry-attempt") == "3"
        for tier in DELAYS:
            assert len(await on_tier(chosen, "notifier", tier)) == 1
        assert sum(asked.body["studentId"] == "student-bad" for asked in push.asked) == 4

        async def all_known() -> bool:
            return await statuses(database) == {"ord_bad": "failed", **{event.order_id: "sent" for event in good}}

        await eventually(all_known)

        async def is_finished() -> bool:
            return await lag_of(chosen, "notifier") == 0

        await eventually(is_finished)


async def test_one_that_fails_once_is_sent_by_its_first_retry(
    settings: Settings, database: Database, push: OutsideStub, courses: OutsideStub
) -> None:
    push.answer = lambda _asked: (503 if len(push.asked) == 1 else 201, {})
    chosen = await quick(settings, push, courses)
    async with running(chosen, serve):
        await announce(chosen, purchase_created("ord_1"))

        async def is_sent() -> bool:
            return await statuses(database) == {"ord_1": "sent"}

        await eventually(is_sent, within_s=60)
    assert len(push.asked) == 2
    assert await dead_letters(chosen, "notifier") == []
