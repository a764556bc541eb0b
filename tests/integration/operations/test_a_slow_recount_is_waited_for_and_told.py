"""Tables grow, and a walk through them takes longer than a statement of a payment may: it has a deadline of its own,
and what has not been looked at is told as that, never as zero.
"""

import asyncio
import math
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from services.common.database import Database, open_database
from services.common.errors import RecordError
from services.common.metrics import Metrics
from services.common.settings import Settings
from services.common.topics import Topics
from services.operations.loops import Loop
from services.operations.recount import Recount
from services.operations.releases import Releases
from services.operations.repairs import drifted_loads, drifted_progress
from tests.support.eventually import eventually
from tests.support.gateway import owner_connection
from tests.support.rows import insert

_USUAL = "2s"
FORGOTTEN = "coursepay_unallocated_oldest_age_seconds"
_SLOW_VIEW = """
ALTER VIEW {view} RENAME TO quick_{view};
CREATE FUNCTION slow_{view}() RETURNS SETOF quick_{view} LANGUAGE plpgsql SECURITY DEFINER AS
    $$ BEGIN PERFORM pg_sleep(4); RETURN QUERY SELECT * FROM quick_{view}; END $$;
CREATE VIEW {view} AS SELECT * FROM slow_{view}();
GRANT SELECT ON {view} TO coursepay_operations;
"""
# What looks at a purchase takes its time, for those who do not own the table.
_SLOW_TABLE = """
CREATE FUNCTION slowly() RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(4); RETURN true; END $$;
ALTER TABLE student_course_purchases ENABLE ROW LEVEL SECURITY;
CREATE POLICY slow ON student_course_purchases USING (slowly());
"""
_SLOW_SWEEP = """
ALTER FUNCTION sweep_allocations(integer) RENAME TO quick_sweep_allocations;
CREATE FUNCTION sweep_allocations(rows_max integer) RETURNS integer LANGUAGE plpgsql SECURITY DEFINER AS
    $$ BEGIN PERFORM pg_sleep(4); RETURN quick_sweep_allocations(rows_max); END $$;
"""
Look = Callable[[Database, Metrics], Awaitable[object]]
LOOKS: dict[str, Look] = {
    "forgotten": lambda database, metrics: Recount(database, metrics).look_for_the_forgotten(),
    "drift": lambda database, metrics: Recount(database, metrics).look_for_drift(),
    "releases": lambda database, _: Releases(database).sweep(),
    "repair loads": lambda database, _: drifted_loads(database),
    "repair progress": lambda database, _: drifted_progress(database),
}


@pytest.fixture
def metrics() -> Metrics:
    return Metrics("operations", Topics.of(Settings()))


@pytest.fixture
async def hurried(database_url: str) -> AsyncIterator[Database]:
    """With one purchase that nobody has decided about, in a database where all that is walked through takes four
    seconds, and whose other statements may take less.
    """
    async with owner_connection(database_url) as connection:
        await insert(connection, "student_course_purchases")
        for view in ("progress_drift", "load_drift"):
            await connection.execute(_SLOW_VIEW.format(view=view))
        await connection.execute(_SLOW_TABLE)
        await connection.execute(_SLOW_SWEEP)
    settings = Settings.from_environment(database_url=database_url, database_deadline=_USUAL)
    async with open_database(settings, role="coursepay_operations", application="test") as database:
        yield database


@pytest.mark.parametrize("name", LOOKS)
async def test_a_walk_through_a_table_may_take_longer_than_other_statements(
    hurried: Database, metrics: Metrics, name: str
) -> None:
    with pytest.raises(RecordError):
        async with hurried.connection() as connection:
            await connection.fetchval("SELECT pg_sleep(4)")
    await LOOKS[name](hurried, metrics)


async def test_what_was_never_looked_at_is_no_zero_and_its_loop_is_stale(hurried: Database, metrics: Metrics) -> None:
    recount = Recount(hurried, metrics, within_s=0.2)

    async def give_up_once(name: str, look: Callable[[], Awaitable[None]]) -> float | None:
        failed = metrics.registry.get_sample_value("coursepay_sampler_errors_total")
        stop = asyncio.Event()
        running = asyncio.create_task(Loop(name, look, every_s=600, within_s=20, metrics=metrics).run(stop))

        async def has_failed() -> bool:
            return metrics.registry.get_sample_value("coursepay_sampler_errors_total") != failed

        await eventually(has_failed)
        stop.set()
        await running
        return metrics.registry.get_sample_value(
            "coursepay_round_last_success_timestamp_seconds", {"loop": name}
        )  # 0 is what CoursepayForgottenUnwatched and CoursepayLoopStale fire at.

    assert await give_up_once("forgotten", recount.look_for_the_forgotten) == 0
    assert await give_up_once("drift", recount.look_for_drift) == 0
    for figure in (FORGOTTEN, "coursepay_progress_drift_rows", "coursepay_load_drift_trainers"):
        assert math.isnan(metrics.registry.get_sample_value(figure) or 0)


async def test_a_walk_that_is_too_slow_hides_no_forgotten_student(
    hurried: Database, metrics: Metrics, database_url: str
) -> None:
    async with owner_connection(database_url) as connection:
        await connection.execute("ALTER TABLE student_course_purchases DISABLE ROW LEVEL SECURITY")
        await connection.execute("UPDATE student_course_purchases SET created_at = now() - interval '1 hour'")
    recount = Recount(hurried, metrics, within_s=1.0)
    with pytest.raises(RecordError):
        await recount.look_for_drift()
    await recount.look_for_the_forgotten()
    assert (metrics.registry.get_sample_value(FORGOTTEN) or 0) > 3000


async def test_a_round_that_failed_is_not_left_for_its_whole_interval(
    metrics: Metrics, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.operations.loops.TRY_AGAIN_S", 0.01)
    stop = asyncio.Event()
    rounds = 0

    async def fails_once() -> None:
        nonlocal rounds
        rounds += 1
        if rounds == 1:
            raise TimeoutError
        stop.set()

    loop = Loop("drift", fails_once, every_s=600, within_s=5, metrics=metrics)
    async with asyncio.timeout(20):
        await loop.run(stop)
    assert loop.has_succeeded
    assert metrics.registry.get_sample_value("coursepay_round_last_success_timestamp_seconds", {"loop": "drift"})
