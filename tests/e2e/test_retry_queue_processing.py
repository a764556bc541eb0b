"""A purchase that fails is tried again after its tier's delay, alone: nobody else waits for it."""

from services.common.settings import Settings
from services.common.topic_admin import apply_topics
from tests.support.eventually import eventually
from tests.support.services import dead_letters, on_tier
from tests.support.trouble import break_purchases
from tests.support.whole_system import WholeSystem, whole_system

DELAYS_MS = {"300ms": 300, "600ms": 600, "900ms": 900}


async def bought(system: WholeSystem, order_id: str) -> bool:
    return bool(await system.fetch("SELECT 1 FROM student_course_purchases WHERE order_id = $1", order_id))


async def test_a_purchase_that_fails_twice_is_made_by_its_second_retry(settings: Settings) -> None:
    chosen = settings.model_copy(update={"retry_delays": ",".join(DELAYS_MS)})
    await apply_topics(chosen)
    # A batch that fails is bisected, and a single record gets a second quick try only for what passes quickly.
    await break_purchases(chosen, failures=2)
    async with whole_system(chosen) as system:
        bad = await system.buy(key="key-bad", subject="student-bad")
        good = await system.buy(key="key-good", subject="student-good")

        async def both_bought() -> bool:
            return await bought(system, bad) and await bought(system, good)

        await eventually(both_bought, within_s=60)
        hops = [record for tier in DELAYS_MS for record in await on_tier(system.settings, "purchase-worker", tier)]
        assert [hop.key for hop in hops] == [bad.encode()] * 2
        assert [hop.header("retry-attempt") for hop in hops] == ["1", "2"]
        assert [hop.header("retry-tier") for hop in hops] == ["300ms", "600ms"]
        for hop in hops:
            failed_ms, due_ms = int(hop.header("last-failed-ms") or 0), int(hop.header("retry-due-ms") or 0)
            assert due_ms >= failed_ms + DELAYS_MS[hop.header("retry-tier") or ""]
        # Never early: it failed the second time after it was due.
        assert int(hops[1].header("last-failed-ms") or 0) >= int(hops[0].header("retry-due-ms") or 0)
        assert await dead_letters(system.settings, "purchase-worker") == []
