"""Troubles of people: nobody to teach them, forgotten, counted wrongly, kept waiting at the checkout."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import uuid4

from services.gateway_api.callers.roles import Role
from services.sandbox.demo.children import Child
from tests.support.alerts.rules import RANGE_MIN_S
from tests.support.alerts.scene import COURSE, STARVED, TAKEN, Scene
from tests.support.command import run_coursepay
from tests.support.events import schedule
from tests.support.eventually import eventually
from tests.support.gateway import order_body

_WAITERS = 6
_DECIDED = "SELECT count(*) FROM trainer_allocations WHERE course_id = $1 AND status = $2"
# A worker that the act before has flooded holds still for half a minute.
_DECIDED_WITHIN_S = 90.0
_CLICKS = 90
_FROZEN_S = 2.3


async def _decided(scene: Scene, course: str, status: str) -> int:
    async with scene.world() as world:
        return int(await world.connection.fetchval(_DECIDED, course, status))


@asynccontextmanager
async def course_without_trainers(scene: Scene) -> AsyncIterator[None]:
    """And the first who asked for it waits for two days. Ends when trainers are hired."""
    await scene.pay("waiter", _WAITERS, STARVED)

    async def all_wait() -> bool:
        return await _decided(scene, STARVED, "pending") == _WAITERS

    await eventually(all_wait, within_s=_DECIDED_WITHIN_S)
    async with scene.world() as world:
        await world.connection.execute(
            "UPDATE trainer_allocations SET created_at = created_at - interval '2 days' WHERE course_id = $1", STARVED
        )
    yield
    async with scene.world() as world:
        for number in range(_WAITERS):
            await world.trainer(f"hired-{number}", courses=[STARVED])


@asynccontextmanager
async def trainer_given_to_the_wrong_one(scene: Scene) -> AsyncIterator[None]:
    """The only woman teaches somebody who did not ask for one; those who do now would need a swap."""
    async with scene.world() as world:
        await world.trainer("woman", courses=[TAKEN], gender="female")
    await scene.pay("first", 1, TAKEN)

    async def is_taken() -> bool:
        return await _decided(scene, TAKEN, "approved") == 1

    await eventually(is_taken, within_s=_DECIDED_WITHIN_S)
    # Out of the window of the alert, in which the first one is a success.
    await asyncio.sleep(RANGE_MIN_S + 1)
    async with scene.world() as world:
        await world.trainer("man", courses=[TAKEN], gender="male")
    await scene.pay("second", 3, TAKEN, schedule=schedule(preferred_gender="female"))
    yield


@asynccontextmanager
async def wrong_counters_and_a_forgotten_student(scene: Scene) -> AsyncIterator[None]:
    """As a table that was loaded past the functions and triggers. Each ends by the command or route of its page."""
    async with scene.world() as world:
        await world.connection.execute("UPDATE trainers SET load_minutes = load_minutes + 60 WHERE trainer_id = 'man'")
        await world.purchase("ord_forgotten", student="forgotten", course=COURSE)
        await world.connection.execute(
            "UPDATE student_course_purchases SET created_at = created_at - interval '1 hour' WHERE order_id = $1",
            "ord_forgotten",
        )
        await world.purchase("ord_unserved", student="unserved", course=COURSE)
        await world.connection.execute(
            "UPDATE student_course_purchases SET purchase_date = now() - interval '1 y', expiry_date = now()"
            " WHERE order_id = 'ord_unserved'"
        )
        # As a restore does: triggers hear nothing.
        await world.connection.execute("SET session_replication_role = replica")
        await world.connection.execute(
            "UPDATE tutoring_sessions SET status = 'completed', completed_at = now()"
            " WHERE trainer_id = 'woman' AND sequence_no = 1"
        )
    # It recounts and ends what is over when it starts, and every ten minutes.
    await scene.restart("operations")
    yield
    for what in ("loads", "progress"):
        await asyncio.to_thread(_repair, scene, what)
    await _decide_at_once(scene)
    async with scene.world() as world:
        # As when its money went back.
        await world.connection.execute(
            "UPDATE student_course_purchases SET status = 'revoked' WHERE order_id = 'ord_unserved'"
        )
    await scene.restart("operations")


def _repair(scene: Scene, what: str) -> None:
    command = ("repair", what, "--reason", "restored from a backup", "--actor", "owner-1", "--execute")
    told = run_coursepay(*command, directory=scene.directory, database_url=scene.database_url)
    assert told.returncode == 0, told.stderr


async def _decide_at_once(scene: Scene) -> None:
    url = f"{scene.system.gateway_url}/api/v1/admin/allocations/retry-auto-assign"
    body = {"studentId": "forgotten", "courseId": COURSE}
    async with scene.http.post(url, json=body, headers=scene.headers(Role.SUPPORT, "support-1")) as answer:
        assert answer.status == 200, await answer.text()


@asynccontextmanager
async def gateway_that_freezes(scene: Scene) -> AsyncIterator[None]:
    """Its machine stands still while many confirm, as one that swaps: what it has in hand takes longer than 2 s."""
    callback = await paid_order(scene)
    gateway = scene.system.children["gateway"]
    for _ in range(2):
        await _freeze_with_clicks(scene, gateway, callback)
    yield


async def paid_order(scene: Scene) -> dict[str, str]:
    headers = scene.headers(Role.STUDENT, "student-1") | {"Idempotency-Key": str(uuid4())}
    async with scene.http.post(
        f"{scene.system.gateway_url}/api/v1/orders", json=order_body(), headers=headers
    ) as answer:
        placed = await answer.json()
        assert answer.status == 201, placed
    async with scene.http.post(
        f"{scene.system.sandbox_url}/checkout/{placed['providerOrderId']}/pay", json={"webhook_delay_s": 3600}
    ) as answer:
        paid: dict[str, str] = await answer.json()
        assert answer.ok, paid
    return paid


async def _freeze_with_clicks(scene: Scene, gateway: Child, callback: dict[str, str]) -> None:
    """The lock keeps the clicks in hand until the gateway stands still."""
    async with scene.world() as world, world.connection.transaction():
        await world.connection.execute("LOCK TABLE payments IN ACCESS EXCLUSIVE MODE")
        clicks = [asyncio.create_task(confirm(scene, callback)) for _ in range(_CLICKS)]
        await asyncio.sleep(0.5)
        gateway.pause()
        try:
            await asyncio.sleep(_FROZEN_S)
        finally:
            gateway.resume()
    await asyncio.gather(*clicks)


async def confirm(scene: Scene, callback: dict[str, str]) -> int:
    url = f"{scene.system.gateway_url}/api/v1/payments/confirm"
    async with scene.http.post(url, json=callback) as answer:
        return answer.status
