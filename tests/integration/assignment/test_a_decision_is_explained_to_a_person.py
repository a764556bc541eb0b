from pathlib import Path

import orjson

from tests.support.assignment import World
from tests.support.busy_trainers import add_busy_trainers
from tests.support.command import run_coursepay


async def test_who_was_chosen_and_why(world: World, tmp_path: Path) -> None:
    await world.trainer("trainer-1")
    await world.trainer("trainer-2", gender="male")
    assert (await world.buy("legacy-1", preferredGender="male"))["trainer_id"] == "trainer-2"
    shown = run_coursepay("assignments", "explain", "legacy-1", directory=tmp_path, database_url=world.url)
    assert shown.returncode == 0, shown.stderr
    assert "approved by auto" in shown.stdout
    assert "trainer-2: 0 sessions held, 10 to come, the first 2027-11-01 12:30Z" in shown.stdout
    assert "asked for: Mon Wed 18:00 from 2027-11-01 (Asia/Kolkata), online, gender male" in shown.stdout
    assert "specialty 2, gender 1, slot 1, capacity 1, radius 1" in shown.stdout
    assert "then in order: 1 without leave, 1 free on the dates" in shown.stdout
    assert "the first, in order of load (below a quarter)" in " ".join(shown.stdout.split())
    assert "* trainer-2" in shown.stdout


async def test_why_it_is_nobody_and_what_would_help(world: World, tmp_path: Path) -> None:
    await world.trainer("trainer-1", weeklySlots=[{"weekday": day, "from": "18:30", "to": "20:00"} for day in (1, 3)])
    await world.buy("legacy-1")
    shown = run_coursepay("assignments", "explain", "legacy-1", directory=tmp_path, database_url=world.url)
    assert shown.returncode == 0, shown.stderr
    assert "nobody: slot left none" in shown.stdout
    assert "giving up time_30 would find somebody" in shown.stdout
    assert "nearly: trainer-1 fails slot" in shown.stdout
    told = run_coursepay("assignments", "explain", "legacy-1", "--json", directory=tmp_path, database_url=world.url)
    document = orjson.loads(told.stdout)
    assert document["decisions"][0]["reason"]["relaxation"] == "time_30"


async def test_that_not_all_were_looked_at(world: World, tmp_path: Path) -> None:
    await add_busy_trainers(world, "busy", 700, [0, 2])
    await world.buy("legacy-1")
    shown = run_coursepay("assignments", "explain", "legacy-1", directory=tmp_path, database_url=world.url)
    assert "those who work at that time and fit otherwise have other sessions then" in shown.stdout
    assert "not all were looked at, there were too many: somebody may be free, and less may be enough" in shown.stdout
    assert "giving up time_60 would find somebody" in shown.stdout


async def test_that_the_trainer_has_left(world: World, tmp_path: Path) -> None:
    await world.trainer("trainer-1")
    bought = await world.buy("legacy-1")
    job = await world.connection.fetchval("SELECT id FROM depart_trainer('trainer-1', 'staff-1', 'pending')")
    await world.connection.execute("SELECT depart_next($1, $2)", job, bought["purchase_id"])
    shown = run_coursepay("assignments", "explain", "legacy-1", directory=tmp_path, database_url=world.url)
    assert "trainer-1 has left, and a person was to look before anybody takes over" in shown.stdout
    # The one before stays below it.
    assert "cancelled by staff-1" in shown.stdout


async def test_an_unknown_order_and_one_that_waits_are_told_apart(world: World, tmp_path: Path) -> None:
    await world.purchase("legacy-1")
    waits = run_coursepay("assignments", "explain", "legacy-1", directory=tmp_path, database_url=world.url)
    assert "Nobody has decided about it yet." in waits.stdout
    unknown = run_coursepay("assignments", "explain", "legacy-2", directory=tmp_path, database_url=world.url)
    assert (unknown.returncode, unknown.stderr) == (1, "there is no purchase of order legacy-2\n")
