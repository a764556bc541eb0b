"""Troubles of records: constraints that fail, a producer of poison, a push service that is dead."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from services.common.codec import load_codec
from services.common.topic_admin import apply_topics
from services.common.topics import WORKERS, Topics
from services.engine.records import OutgoingRecord
from services.sandbox.demo.poison import poison_records
from tests.support.alerts.scene import Scene
from tests.support.command import run_coursepay
from tests.support.dead_letters import rows_put_aside
from tests.support.eventually import eventually
from tests.support.kafka import delete_topic, send

_BREAK = """
CREATE FUNCTION refuse_{table}() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.student_id LIKE '{students}' THEN
        RAISE EXCEPTION 'refused by a broken release';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER broken BEFORE INSERT ON {table} FOR EACH ROW EXECUTE FUNCTION refuse_{table}();
"""
_UNLUCKY = 60
_BOUGHT = "SELECT count(*) FROM student_course_purchases WHERE student_id LIKE 'unlucky-%'"
_REPAIR = "DROP TRIGGER broken ON {table}; DROP FUNCTION refuse_{table}()"


@asynccontextmanager
async def broken(scene: Scene, table: str, students: str) -> AsyncIterator[None]:
    """Nothing may be inserted for students like that. P0001 is transient: retried until the tiers end."""
    async with scene.world() as world:
        await world.connection.execute(_BREAK.format(table=table, students=students))
    try:
        yield
    finally:
        async with scene.world() as world:
            await world.connection.execute(_REPAIR.format(table=table))


@asynccontextmanager
async def failing_purchases(scene: Scene) -> AsyncIterator[None]:
    """More than a hundred, so that they are a backlog too."""
    async with broken(scene, "student_course_purchases", "bad-%"):
        await scene.pay("bad", 150)
        yield


@asynccontextmanager
async def failing_assignments(scene: Scene) -> AsyncIterator[None]:
    async def bought() -> bool:
        async with scene.world() as world:
            return bool(await world.connection.fetchval(_BOUGHT) == _UNLUCKY)

    async with broken(scene, "trainer_allocations", "unlucky-%"):
        await scene.pay("unlucky", _UNLUCKY)
        # Before anything may hold up the purchase worker.
        await eventually(bought)
        yield


@asynccontextmanager
async def poison(scene: Scene) -> AsyncIterator[None]:
    await send(scene.settings, poison_records(Topics.of(scene.settings), load_codec()))
    yield


@asynccontextmanager
async def dead_letter_topic_made_anew(scene: Scene) -> AsyncIterator[None]:
    """After a letter of it was indexed. It ends as the runbook says."""
    topic = Topics.of(scene.settings).dead_letters("notifier")

    async def indexed() -> bool:
        async with scene.world() as world:
            return bool(await world.connection.fetchval("SELECT count(*) FROM dead_letters WHERE topic = $1", topic))

    await send(scene.settings, [OutgoingRecord(topic=topic, key=b"ord_anew", value=b"no event")])
    await eventually(indexed, within_s=30)
    await delete_topic(scene.settings, topic)
    await apply_topics(scene.settings)
    try:
        yield
    finally:
        async with scene.world() as world:
            await world.connection.execute(rows_put_aside(topic))


@asynccontextmanager
async def letters_that_nobody_reads(scene: Scene) -> AsyncIterator[None]:
    """Those of the troubles before. Ends by the command of the page, when no other can come."""
    yield

    async def are_decided() -> bool:
        for worker in WORKERS:
            await asyncio.to_thread(_discard, scene, worker)
        return await scene.gauge("operations", "coursepay_dlq_unresolved_messages") == 0

    await eventually(are_decided, within_s=60, every_s=3)


def _discard(scene: Scene, worker: str) -> None:
    told = run_coursepay(
        *("dlq", "discard", worker, "--all", "--reason", "troubles of a test", "--actor", "owner-1"),
        directory=scene.directory,
        database_url=scene.database_url,
        kafka_bootstrap_servers=scene.settings.required_bootstrap_servers(),
        kafka_topic_prefix=scene.settings.kafka_topic_prefix,
    )
    assert told.returncode == 0, told.stderr


@asynccontextmanager
async def dead_push_service(scene: Scene) -> AsyncIterator[None]:
    """Its process is gone, and with it the provider's and the course service's."""
    sandbox = scene.system.children["sandbox"]
    await sandbox.kill()
    try:
        yield
    finally:
        await sandbox.start()
        await sandbox.wait_until_ready()
