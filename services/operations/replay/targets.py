"""Where a dead letter goes, and which headers it takes along. The bytes and the key are never touched.

`first-tier` is the worker's own shortest retry tier, so that no other subscriber hears of it; a record without attempt
headers counts there as not retried yet and due now. `origin` is the main topic: every subscriber gets it.
"""

from collections.abc import Iterable
from typing import Literal
from uuid import UUID

from services.common.errors import PermanentError
from services.common.telemetry.traces import SEND_SPAN, begin_trace
from services.common.topics import EVENT_TOPICS, Topics
from services.engine.records import Header, OutgoingRecord, Record

Target = Literal["first-tier", "origin", "parked"]
FIRST_TIER: Target = "first-tier"
ORIGIN: Target = "origin"
PARKED: Target = "parked"
TARGETS: tuple[Target, ...] = (FIRST_TIER, ORIGIN, PARKED)
_OF_ATTEMPTS = frozenset(
    {"retry-attempt", "retry-tier", "retry-due-ms", "first-failed-ms", "last-failed-ms", "worker", "error-class"}
    | {"error-message", "error-kind", "error-stack", "error-fingerprint", SEND_SPAN}
)


def target_for(wanted: Target, *, replay_count: int, replays_max: int) -> Target:
    """Parked when this replay would be one too many."""
    return PARKED if replay_count + 1 > replays_max else wanted


def replayed(record: Record, topics: Topics, worker: str, target: Target, run_id: UUID) -> OutgoingRecord:
    """Raises PermanentError for a letter that does not tell where it came from, unless it is parked."""
    headers = parked_headers if target == PARKED else replayed_headers
    return OutgoingRecord(
        topic=_topic(record, topics, worker, target),
        key=record.key,
        value=record.value,
        headers=headers(record, run_id),
    )


def replayed_headers(record: Record, run_id: UUID) -> tuple[Header, ...]:
    """It starts anew: no word of attempts or errors; where it came from and foreign headers stay. Hours lie between, so
    where replays are traced the trace is a new one too, which links to the first and to the last hand-off in it.
    """
    count = (record.number("replay-count") or 0) + 1
    kept = ((name, value) for name, value in record.headers if name not in _OF_ATTEMPTS)
    ours = {"replay-id": str(run_id), "replay-count": str(count)}
    earlier = (record.header("traceparent"), record.header(SEND_SPAN))
    begun = begin_trace("replay", points_to=earlier, **{"coursepay.replay.id": str(run_id)})
    return _with(kept, ours if begun is None else {"traceparent": begun, **ours})


def parked_headers(record: Record, run_id: UUID) -> tuple[Header, ...]:
    """With the diagnosis, for whoever decides later. It is no replay, so it does not count as one."""
    return _with(record.headers, {"replay-id": str(run_id)})


def _with(headers: Iterable[Header], ours: dict[str, str]) -> tuple[Header, ...]:
    kept = tuple((name, value) for name, value in headers if name not in ours)
    return (*kept, *((name, value.encode()) for name, value in ours.items()))


def _topic(record: Record, topics: Topics, worker: str, target: Target) -> str:
    if target == PARKED:
        return topics.parked(worker)
    origin = record.header("origin-topic")
    # A header is no authority: only our own main topics are written to.
    if origin not in {topics.main(event) for event in EVENT_TOPICS}:
        raise PermanentError("its origin-topic is missing or none of ours, so nobody would know what to do with it")
    return topics.tiers(worker)[0] if target == FIRST_TIER else origin
