import orjson

from tests.support.assignment import TRAINER, World

_TRAINERS = 3000
_MANY = """
SELECT upsert_trainers(jsonb_agg($1::jsonb || jsonb_build_object('trainerId', 'trainer-' || lpad(n::text, 5, '0'))))
  FROM generate_series(1, $2) AS n
"""
_READ = """
SELECT COALESCE(seq_scan, 0), COALESCE(idx_tup_fetch, 0) FROM pg_stat_user_tables WHERE relname = 'trainer_offers'
"""
_TRAVELLING = {
    "modes": ["online", "in_person"],
    "location": {"latitude": 12.97, "longitude": 77.59},
    "travelRadiusKm": 8,
}


async def _add_many(world: World) -> None:
    await world.connection.execute(_MANY, orjson.dumps({**TRAINER, **_TRAVELLING}).decode(), _TRAINERS)


async def _read(world: World) -> tuple[int, int]:
    """(scans of the whole table, rows fetched by an index) of trainer_offers so far."""
    await world.connection.execute("SELECT pg_stat_force_next_flush()")
    row = await world.connection.fetchrow(_READ)
    assert row is not None
    return row[0], row[1]


async def test_a_page_is_read_whatever_the_planner_believes(world: World) -> None:
    await _add_many(world)
    # With the statistics of an empty table and with true ones, with plans for these values and with generic ones.
    for analysed in (False, True):
        if analysed:
            await world.connection.execute("ANALYZE trainer_offers")
        for number in range(8):
            purchase = await world.purchase(f"order-{analysed}-{number}", student=f"student-{analysed}-{number}")
            scans, rows = await _read(world)
            assert (await world.assign(purchase))["result"] == "ok"
            scans_after, rows_after = await _read(world)
            assert scans_after == scans
            # The page, and the offers of the one trainer who was booked.
            assert rows_after - rows <= 300


async def test_in_person_only_those_in_reach_are_read(world: World) -> None:
    await _add_many(world)
    await world.trainer(
        "in-delhi",
        modes=["in_person"],
        location={"latitude": 28.64, "longitude": 77.22},
        travelRadiusKm=8,
    )
    await world.connection.execute("ANALYZE trainer_offers")
    home = {"latitude": 28.65, "longitude": 77.22}
    purchase = await world.purchase("order-1", mode="in_person", location=home)
    scans, rows = await _read(world)
    assert (await world.assign(purchase))["trainer_id"] == "in-delhi"
    scans_after, rows_after = await _read(world)
    assert scans_after == scans
    assert rows_after - rows <= 10
