"""What was on its way when a run died, killed or cut off: Kafka tells whether it arrived.

Each such record was marked `sending` before it left. It is looked for in its target topic by the run's id and by what
record it is: there, it is replayed; absent, it is planned again. So a run that was killed publishes each record once.
The gaps: a request that the dead process had handed to its kernel and that the broker had not read yet; and a run that
only lost its connection and still waits for Kafka (lock.py). Then a record is there twice, which its handler takes as
any other duplicate.
"""

from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import replace
from uuid import UUID

from services.common.database import Transaction
from services.common.settings import Settings
from services.common.topics import EVENT_TOPICS, Topics
from services.operations.replay.choosing.letters import identity_of
from services.operations.replay.choosing.standing import Settled, settle_letters
from services.operations.replay.items import (
    Item,
    Untold,
    count_items,
    counts_from,
    finished_digest,
    settle_items,
    untold_items,
)
from services.operations.replay.lock import Session
from services.operations.replay.runs import find_run, reseal_run
from services.operations.replay.targets import FIRST_TIER, ORIGIN, PARKED
from services.operations.topic_reader import offsets_since, stream_records

# PostgreSQL's clock began the run, brokers and producers stamped the records.
CLOCK_SLACK_MS = 10 * 60 * 1000


async def recover(settings: Settings, session: Session, worker: str) -> int:
    """How many were found on their way. The caller holds the topic's lock. Raises RecordError kinds."""
    topic = Topics.of(settings).dead_letters(worker)
    async with session.transaction() as transaction:
        untold = await untold_items(transaction, topic)
    if not untold:
        return 0
    arrived = await _arrived(settings, worker, untold)
    async with session.transaction() as transaction:
        for one in untold:
            item = _settled(one, arrived=(str(one.run_id), one.identity) in arrived)
            await settle_items(transaction, one.run_id, [item])
            if item.result != "planned":
                await settle_letters(transaction, topic, [item.place], _status(item))
        for run_id in {one.run_id for one in untold}:
            await _reseal(transaction, run_id)
    return len(untold)


async def _reseal(transaction: Transaction, run_id: UUID) -> None:
    run = await find_run(transaction, str(run_id))
    # One that was killed has no digest of what it did yet.
    if run.result_sha256 is not None:
        counts = counts_from(await count_items(transaction, run_id), run.counts.back_in_dlq)
        await reseal_run(transaction, run, counts, await finished_digest(transaction, run_id))


async def _arrived(settings: Settings, worker: str, untold: Sequence[Untold]) -> set[tuple[str, str]]:
    """(run id, identity) of every replayed record in the targets since the oldest of the runs began."""
    topics = Topics.of(settings)
    places = {
        FIRST_TIER: list(topics.tiers(worker)),
        ORIGIN: [topics.main(event) for event in EVENT_TOPICS],
        PARKED: [topics.parked(worker)],
    }
    names = sorted({name for one in untold for name in places[one.item.target]})
    since_ms = min(one.started_at_ms for one in untold) - CLOCK_SLACK_MS
    ranges = await offsets_since(settings, names, max(0, since_ms))
    found = set()
    async with aclosing(stream_records(settings, ranges)) as batches:
        async for batch in batches:
            for record in batch:
                run_id = record.header("replay-id")
                if run_id is not None:
                    found.add((run_id, identity_of(record)))
    return found


def _settled(one: Untold, *, arrived: bool) -> Item:
    if not arrived:
        return replace(one.item, result="planned")
    return replace(one.item, result="parked" if one.item.target == PARKED else "replayed")


def _status(item: Item) -> Settled:
    return "parked" if item.target == PARKED else "replayed"
