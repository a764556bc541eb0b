"""What cannot be handled is set aside with its bytes, counted until somebody mends it, and stops nobody else."""

from typing import Any

import aiohttp

from services.common.settings import Settings
from services.common.topic_admin import apply_topics
from services.common.topics import Topics
from services.engine.records import OutgoingRecord
from services.operations.__main__ import serve as serve_operations
from services.purchase_worker.__main__ import serve as serve_purchases
from services.sandbox.ports import free_ports
from tests.support.eventually import eventually
from tests.support.kafka import send
from tests.support.services import dead_letters, on_tier, running
from tests.support.trouble import break_purchases, repair_purchases
from tests.support.whole_system import WholeSystem, whole_system

DELAYS = ("100ms", "200ms", "300ms")


async def quick(settings: Settings) -> Settings:
    chosen = settings.model_copy(update={"retry_delays": ",".join(DELAYS)})
    await apply_topics(chosen)
    return chosen


async def statuses(system: WholeSystem) -> list[tuple[Any, ...]]:
    rows = await system.fetch("SELECT order_id, error_kind, status FROM dead_letters ORDER BY error_kind")
    return [tuple(row.values()) for row in rows]


async def test_a_purchase_that_always_fails_is_set_aside_and_replaying_it_after_the_repair_resolves_it(
    settings: Settings,
) -> None:
    chosen = await quick(settings)
    await break_purchases(chosen, failures=1000)
    async with whole_system(chosen) as system:
        bad = await system.buy(key="key-bad", subject="student-bad")
        good = await system.buy(key="key-good", subject="student-good")

        async def is_known() -> bool:
            return await statuses(system) == [(bad, "transient", "unresolved")]

        await eventually(is_known, within_s=60)
        (letter,) = await dead_letters(system.settings, "purchase-worker")
        assert letter.header("retry-attempt") == "3"
        for tier in DELAYS:
            assert len(await on_tier(system.settings, "purchase-worker", tier)) == 1
        # The student who paid sees the course being set up, the other one has it.
        (listed,) = (await system.ask("/api/v1/students/student-bad/purchases", "student-bad"))["items"]
        assert (listed["orderId"], listed["status"]) == (bad, "being_set_up")
        assert await system.fetch("SELECT order_id FROM student_course_purchases") == [{"order_id": good}]

        await repair_purchases(chosen)
        topic = Topics.of(chosen).retry("purchase-worker", DELAYS[0])
        await send(chosen, [OutgoingRecord(topic=topic, key=letter.key, value=letter.value)])

        async def is_resolved() -> bool:
            return await statuses(system) == [(bad, "transient", "resolved")]

        await eventually(is_resolved, within_s=60)


async def test_poison_is_set_aside_at_once_byte_for_byte_and_payments_go_on(settings: Settings) -> None:
    chosen = await quick(settings)
    poison = [b"nonsense", b"\x00\x00\x00\x00\x01garbage", b""]
    topic = f"{chosen.kafka_topic_prefix}payment.succeeded"
    async with whole_system(chosen) as system:
        await send(chosen, [OutgoingRecord(topic=topic, key=b"ord_poison", value=value) for value in poison])
        order_id = await system.buy(key="key-1")

        async def is_bought() -> bool:
            return await system.fetch("SELECT order_id FROM student_course_purchases") == [{"order_id": order_id}]

        async def all_known() -> bool:
            return await statuses(system) == [("ord_poison", "poison", "unresolved")] * len(poison)

        await eventually(is_bought, within_s=60)
        await eventually(all_known, within_s=60)
        letters = await dead_letters(system.settings, "purchase-worker")
        assert sorted(letter.value or b"" for letter in letters) == sorted(poison)
        for tier in DELAYS:
            assert await on_tier(system.settings, "purchase-worker", tier) == []


async def test_a_push_service_that_is_down_blocks_no_course(settings: Settings) -> None:
    (nobody,) = free_ports(1)
    async with whole_system(settings, push_url=f"http://127.0.0.1:{nobody}") as system:
        await system.buy(key="key-1")

        async def is_decided() -> bool:
            return bool(await system.fetch("SELECT 1 FROM trainer_allocations"))

        await eventually(is_decided, within_s=60)
        assert await system.fetch("SELECT 1 FROM notifications") == []


async def test_metrics_tell_of_a_dead_letter(settings: Settings) -> None:
    chosen = await quick(settings)
    (port,) = free_ports(1)
    topic = f"{chosen.kafka_topic_prefix}payment.succeeded"
    operations = chosen.model_copy(update={"metrics_port": port})
    async with running(operations, serve_operations), running(chosen, serve_purchases), aiohttp.ClientSession() as http:
        await send(chosen, [OutgoingRecord(topic=topic, key=b"ord_poison", value=b"nonsense")])

        async def is_shown() -> bool:
            async with http.get(f"http://127.0.0.1:{port}/metrics") as answer:
                return 'coursepay_dlq_unresolved_messages{worker="purchase-worker"} 1.0' in await answer.text()

        await eventually(is_shown, within_s=60)
