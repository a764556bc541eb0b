"""What must be zero, and is told when it is not."""

import re

from services.common.database import Database
from services.common.metrics import Metrics
from services.common.settings import Settings
from services.common.topics import Topics
from services.operations.recount import Recount
from tests.support.gateway import owner_connection
from tests.support.rows import allocated_purchase, insert
from tests.support.tidy import ROOT

# What the runbook tells to ask.
WHO = re.search(
    r"`(SELECT id, order_id, created_at FROM student_course_purchases .*);`", (ROOT / "docs/runbook.md").read_text()
)
UNALLOCATED = "coursepay_unallocated_oldest_age_seconds"
DRIFT = "coursepay_progress_drift_rows"
_AGE = "UPDATE student_course_purchases SET created_at = now() - interval '20 minutes' WHERE id = $1"
# What loading a backup of one table does: no trigger counts.
_UNCOUNTED = """
SET session_replication_role = replica;
UPDATE tutoring_sessions SET status = 'completed', completed_at = now();
"""


async def test_a_purchase_without_a_decision_is_as_old_as_it_is(database_url: str, database: Database) -> None:
    metrics = Metrics("operations", Topics.of(Settings()))
    async with owner_connection(database_url) as connection:
        forgotten = await insert(connection, "student_course_purchases")
        await connection.execute(_AGE, forgotten["id"])
        revoked = await insert(connection, "student_course_purchases", status="revoked")
        await connection.execute(_AGE, revoked["id"])
        waiting = await insert(connection, "student_course_purchases")
        await connection.execute(_AGE, waiting["id"])
        all_held, allocation_id = await allocated_purchase(connection, sessions_total=1)
        await insert(connection, "tutoring_sessions", allocation_id=allocation_id)
        await connection.execute("UPDATE trainer_allocations SET status = 'cancelled'")
        await connection.execute(_AGE.replace("20 minutes", "40 minutes"), all_held)
        pending = {"purchase_id": waiting["id"], "trainer_id": None, "status": "pending"}
        await insert(connection, "trainer_allocations", **pending)
        await Recount(database, metrics).look_for_the_forgotten()
        assert WHO is not None
        assert [row["id"] for row in await connection.fetch(WHO[1])] == [forgotten["id"]]
        assert 1200 <= (metrics.registry.get_sample_value(UNALLOCATED) or 0) < 1300
        await insert(connection, "trainer_allocations", **pending | {"purchase_id": forgotten["id"]})
        await Recount(database, metrics).look_for_the_forgotten()
    assert metrics.registry.get_sample_value(UNALLOCATED) == 0


async def test_progress_that_something_wrote_past_the_triggers_is_counted(
    database_url: str, database: Database
) -> None:
    metrics = Metrics("operations", Topics.of(Settings()))
    async with owner_connection(database_url) as connection:
        _, allocation_id = await allocated_purchase(connection)
        await insert(connection, "tutoring_sessions", allocation_id=allocation_id)
        await Recount(database, metrics).look_for_drift()
        assert metrics.registry.get_sample_value(DRIFT) == 0
        await connection.execute(_UNCOUNTED)
        await Recount(database, metrics).look_for_drift()
    assert metrics.registry.get_sample_value(DRIFT) == 1
