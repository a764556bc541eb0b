"""A counter is broken as a restored table would break it: the gauge tells, and the command corrects and audits."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import orjson
import pytest

from services.common.database import Database
from services.common.metrics import Metrics
from services.common.settings import Settings
from services.common.topics import Topics
from services.operations.recount import Recount
from tests.support.assignment import World, world_in
from tests.support.command import run_coursepay
from tests.support.eventually import eventually

_LOAD_DRIFT = "coursepay_load_drift_trainers"
_AUDITED = "SELECT actor, action, target, reason, before, after FROM audit_log"


@pytest.fixture
async def world(database_url: str) -> AsyncIterator[World]:
    """With a trainer who teaches two hours a week."""
    async with world_in(database_url) as built:
        await built.trainer("trainer-1")
        assert (await built.buy("order-1"))["trainer_id"] == "trainer-1"
        yield built


async def _drift(database: Database) -> float | None:
    metrics = Metrics("operations", Topics.of(Settings()))
    await Recount(database, metrics).look_for_drift()
    return metrics.registry.get_sample_value(_LOAD_DRIFT)


@pytest.mark.parametrize("table", ["trainers", "trainer_offers"])
async def test_a_load_that_differs_is_seen_shown_and_corrected(
    world: World, database: Database, tmp_path: Path, table: str
) -> None:
    assert await _drift(database) == 0
    await world.connection.execute(f"UPDATE {table} SET load_minutes = 600")  # noqa: S608 - one of two names
    assert await _drift(database) == 1

    def repair(*options: str) -> str:
        command = ("repair", "loads", "--reason", "restored", "--actor", "owner-1", *options)
        told = run_coursepay(*command, directory=tmp_path, database_url=world.url)
        assert told.returncode == 0, told.stderr
        return told.stdout

    assert "1 trainers differ; nothing was changed" in repair()
    assert await _drift(database) == 1
    shown = repair("--execute")
    assert shown.splitlines()[1].split()[-1] == "120"
    assert "1 trainers corrected" in shown
    assert await _drift(database) == 0
    assert (await world.load("trainer-1"), await world.drifted()) == (120, [])
    assert "nothing differs from a recount" in repair("--execute")
    [audited] = await world.connection.fetch(_AUDITED)
    assert tuple(audited)[:4] == ("owner-1", "load.recount", "trainer-1", "restored")
    assert orjson.loads(audited["after"]) == {"loadMinutes": 120}


async def test_progress_that_differs_is_shown_and_corrected(world: World, tmp_path: Path) -> None:
    await world.connection.execute(
        """
        SET session_replication_role = replica;
        UPDATE tutoring_sessions SET status = 'completed', completed_at = now() WHERE sequence_no = 1;
        SET session_replication_role = origin;
        """
    )
    command = ("repair", "progress", "--reason", "restored")
    assert "1 purchases differ" in run_coursepay(*command, directory=tmp_path, database_url=world.url).stdout
    assert await world.connection.fetchval("SELECT count(*) FROM progress_drift") == 1
    told = run_coursepay(*command, "--execute", directory=tmp_path, database_url=world.url)
    assert "1 purchases corrected" in told.stdout, told.stderr
    assert await world.connection.fetchval("SELECT count(*) FROM progress_drift") == 0
    [audited] = await world.connection.fetch(_AUDITED)
    assert (audited["action"], orjson.loads(audited["after"])) == ("progress.rebuild", {"corrected": 1})


async def test_a_recount_waits_for_who_is_booking_and_counts_it_once(world: World) -> None:
    purchase = await world.purchase("order-2", student="student-2", timeSlot="20:00")
    await world.connection.execute("UPDATE trainers SET load_minutes = 0")
    booking = world.connection.transaction()
    await booking.start()
    assert (await world.assign(purchase))["trainer_id"] == "trainer-1"
    other = await asyncpg.connect(world.url)
    try:
        recount = asyncio.create_task(other.fetchrow("SELECT * FROM recount_load('trainer-1')"))
        waiting = "SELECT EXISTS (SELECT FROM pg_locks WHERE pid = $1 AND NOT granted)"
        await eventually(lambda: world.connection.fetchval(waiting, other.get_server_pid()))
        assert not recount.done()
        await booking.commit()
        assert tuple(await recount or ()) == (120, 240)
    finally:
        await other.close()
    assert not await world.drifted()


async def test_services_cannot_recount(world: World) -> None:
    for role in ("coursepay_gateway", "coursepay_assignment_worker", "coursepay_operations"):
        await world.connection.execute(f"SET ROLE {role}")
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await world.connection.execute("SELECT recount_load('trainer-1')")
        await world.connection.execute("RESET ROLE")
