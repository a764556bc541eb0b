"""All runs in the order of their chain, and whether every link holds."""

from collections.abc import Sequence
from dataclasses import dataclass

from services.common.database import Database
from services.operations.replay.chain import broken_links
from services.operations.replay.items import finished_digest
from services.operations.replay.runs import Run, link_of, list_runs


@dataclass(frozen=True, slots=True, kw_only=True)
class Audit:
    """`broken`: one sentence per link that does not hold."""

    runs: Sequence[Run]
    broken: Sequence[str]


async def audit_runs(database: Database) -> Audit:
    """Raises RecordError kinds."""
    async with database.connection() as connection:
        runs = await list_runs(connection)
        links = [link_of(run, await finished_digest(connection, run.id)) for run in runs]
    return Audit(runs=runs, broken=broken_links(links))
