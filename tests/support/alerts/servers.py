"""Troubles of servers and processes: Kafka and PostgreSQL away, a worker killed, a thread that stands still."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import uuid4

from services.common.events import AllocationPending
from tests.support.alerts.people import confirm, paid_order
from tests.support.alerts.records import broken
from tests.support.alerts.scene import COURSE, Scene
from tests.support.alerts.threads import poll_threads_stand_still
from tests.support.eventually import eventually
from tests.support.services import announce

_BEHIND = 1200
_REFUSED = 20


@asynccontextmanager
async def killed_worker(scene: Scene) -> AsyncIterator[None]:
    """And more for it to do than may wait: one event over and over, which is done quickly once it is back."""
    notifier = scene.system.children["notifier"]
    await notifier.kill()
    event = AllocationPending(
        event_id=uuid4(),
        allocation_id=uuid4(),
        purchase_id=uuid4(),
        order_id="ord_again",
        student_id="student-1",
        course_id=COURSE,
        reason="slot",
    )
    await announce(scene.settings, *[event] * _BEHIND)
    try:
        yield
    finally:
        await notifier.start()
        await notifier.wait_until_ready()


@asynccontextmanager
async def kafka_away(scene: Scene) -> AsyncIterator[None]:
    """Killed with retries in the worker's hand, and a payment confirmed after."""
    callback = await paid_order(scene)
    async with _parked_retries(scene):
        await _kill_kafka(scene)
        try:
            assert await confirm(scene, callback) == 200
            yield
        finally:
            await asyncio.to_thread(scene.stack.kafka.start)


async def _kill_kafka(scene: Scene) -> None:
    """SIGKILL: an orderly stop would give the retries time to move on."""
    remains = scene.stack.kafka.remains()
    assert remains is not None
    assert remains.pid is not None, "the test needs a Kafka that is a process of this machine"
    os.kill(remains.pid, signal.SIGKILL)
    await asyncio.to_thread(scene.stack.kafka.stop)


@asynccontextmanager
async def postgresql_away(scene: Scene) -> AsyncIterator[None]:
    async with _parked_retries(scene):
        await asyncio.to_thread(scene.stack.postgres.stop)
        try:
            yield
        finally:
            await asyncio.to_thread(scene.stack.postgres.start)


@asynccontextmanager
async def blind_operations(scene: Scene) -> AsyncIterator[None]:
    """A new process that may not read what it should recount. It is ready all the same: restart() waits for that."""
    async with scene.world() as world:
        await world.connection.execute("REVOKE SELECT ON tutoring_sessions, progress_drift FROM coursepay_operations")
    await scene.restart("operations")
    yield
    async with scene.world() as world:
        await world.connection.execute("GRANT SELECT ON tutoring_sessions, progress_drift TO coursepay_operations")
    await scene.restart("operations")


@asynccontextmanager
async def gateway_without_its_rights(scene: Scene) -> AsyncIterator[None]:
    """It answers at once, and takes nobody's payment."""
    callback = await paid_order(scene)
    async with scene.world() as world:
        await world.connection.execute("REVOKE SELECT, INSERT, UPDATE ON payments FROM coursepay_gateway")
    answers = [await confirm(scene, callback) for _ in range(_REFUSED)]
    assert answers == [503] * _REFUSED
    yield
    async with scene.world() as world:
        await world.connection.execute("GRANT SELECT, INSERT, UPDATE ON payments TO coursepay_gateway")
    assert await confirm(scene, callback) == 200


@asynccontextmanager
async def stuck_poll_loop(scene: Scene) -> AsyncIterator[None]:
    async with poll_threads_stand_still(scene, "assignment-worker"):
        yield


@asynccontextmanager
async def _parked_retries(scene: Scene) -> AsyncIterator[None]:
    async with broken(scene, "student_course_purchases", "bad-%"):
        await scene.pay("bad", 20)

        async def are_parked() -> bool:
            return await scene.gauge("purchase-worker", "coursepay_parked_records") >= 1

        await eventually(are_parked, within_s=40)
        yield
