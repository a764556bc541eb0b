"""The table replay_runs: who replayed what, why, and how far it came; each run one link of a chain (chain.py).

Tables: replay_runs, audit_log (written only).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

import orjson

from services.common.database import Row, Transaction
from services.operations.replay.chain import Link, begin_digest, result_digest
from services.operations.replay.refusals import RefusedError

State = Literal["running", "interrupted", "stopped", "finished"]
# Taken for the moment of adding a run, so that two topics' runs do not follow the same one.
_CHAIN_LOCK = "SELECT pg_advisory_xact_lock(hashtextextended('coursepay replay_runs chain', 0))"
_LAST = "SELECT sha256 FROM replay_runs ORDER BY number DESC LIMIT 1"
_BEGIN = """
INSERT INTO replay_runs (worker, topic, actor, reason, target, plan_sha256, planned, options, previous_sha256)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8::jsonb, $9)
RETURNING *
"""
_SEAL = "UPDATE replay_runs SET sha256 = $2 WHERE id = $1"
_END = """
UPDATE replay_runs
   SET state = $2, finished_at = CASE WHEN $2 = 'finished' THEN coalesce(finished_at, clock_timestamp()) END,
       replayed = $3, skipped_done = $4, parked = $5, failed = $6, back_in_dlq = $7, result_sha256 = $8
 WHERE id = $1
"""
_RESEAL = """
UPDATE replay_runs
   SET replayed = $2, skipped_done = $3, parked = $4, failed = $5, back_in_dlq = $6, result_sha256 = $7
 WHERE id = $1
"""
_REOPEN = "UPDATE replay_runs SET state = 'running', finished_at = NULL, result_sha256 = NULL WHERE id = $1"
_FIND = "SELECT * FROM replay_runs WHERE id::text LIKE $1 || '%' ORDER BY number LIMIT 2"
_LIST = "SELECT * FROM replay_runs ORDER BY number"
_AUDIT = "INSERT INTO audit_log (actor, action, target, reason, after) VALUES ($1, $2, $3, $4, $5::jsonb)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """Of the records of a run. `back_in_dlq`: those of `replayed` that died again."""

    replayed: int = 0
    skipped_done: int = 0
    parked: int = 0
    failed: int = 0
    back_in_dlq: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A row. `options`: what a resumed run needs again."""

    id: UUID
    worker: str
    topic: str
    actor: str
    reason: str
    target: str
    plan_sha256: str
    state: str
    options: Mapping[str, Any]
    started_at: datetime
    finished_at: datetime | None
    planned: int
    counts: Counts
    previous_sha256: str
    sha256: str
    result_sha256: str | None

    @property
    def began(self) -> Mapping[str, object]:
        """What the first digest covers."""
        names = ("worker", "topic", "actor", "reason", "target", "plan_sha256", "planned")
        return {
            "id": str(self.id),
            "started_at": self.started_at.isoformat(),
            "options": dict(self.options),
            **{name: getattr(self, name) for name in names},
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class NewRun:
    worker: str
    topic: str
    actor: str
    reason: str
    target: str
    plan_sha256: str
    planned: int
    options: Mapping[str, Any]


async def begin_run(transaction: Transaction, new: NewRun) -> Run:
    """The caller holds the topic's lock."""
    await transaction.execute(_CHAIN_LOCK)
    previous = await transaction.fetchval(_LAST) or ""
    row = await transaction.fetchrow(
        _BEGIN,
        new.worker,
        new.topic,
        new.actor,
        new.reason,
        new.target,
        new.plan_sha256,
        new.planned,
        orjson.dumps(new.options).decode(),
        previous,
    )
    run = _run(row)
    await transaction.execute(_SEAL, run.id, begin_digest(run.began, previous))
    await _audit(transaction, run.actor, "replay.started", run, run.began)
    return run


async def reopen_run(transaction: Transaction, run: Run, actor: str) -> None:
    await transaction.execute(_REOPEN, run.id)
    await _audit(transaction, actor, "replay.resumed", run, None)


async def end_run(transaction: Transaction, run: Run, *, actor: str, state: State, counts: Counts, items: str) -> None:
    """`items`: a digest of the records that are finished (chain.items_digest)."""
    sha256 = await transaction.fetchval("SELECT sha256 FROM replay_runs WHERE id = $1", run.id)
    result = _result(state, counts, items)
    await transaction.execute(
        _END,
        run.id,
        state,
        counts.replayed,
        counts.skipped_done,
        counts.parked,
        counts.failed,
        counts.back_in_dlq,
        result_digest(sha256, result),
    )
    await _audit(transaction, actor, f"replay.{state}", run, result)


async def reseal_run(transaction: Transaction, run: Run, counts: Counts, items: str) -> None:
    """For a run that had ended before it was known what became of its last records."""
    digest = result_digest(run.sha256, _result(run.state, counts, items))
    figures = (counts.replayed, counts.skipped_done, counts.parked, counts.failed, counts.back_in_dlq)
    await transaction.execute(_RESEAL, run.id, *figures, digest)


async def note_back(transaction: Transaction, run: Run, *, actor: str, back_in_dlq: int, items: str) -> None:
    """What was seen of a run that has ended, unless that was known before."""
    if back_in_dlq == run.counts.back_in_dlq:
        return
    counts = replace(run.counts, back_in_dlq=back_in_dlq)
    await reseal_run(transaction, run, counts, items)
    await _audit(transaction, actor, "replay.watched", run, _result(run.state, counts, items))


async def find_run(connection: Transaction, run_id: str) -> Run:
    """By its id or the beginning of it. Raises RefusedError when that is none, or several."""
    wanted = run_id.strip().lower()
    if not wanted or not all(character in "0123456789abcdef-" for character in wanted):
        raise RefusedError(f"{run_id!r} is no run's id; `coursepay dlq audit` lists them")
    rows = await connection.fetch(_FIND, wanted)
    if len(rows) != 1:
        raise RefusedError(f"{'several runs begin' if rows else 'no run begins'} with {wanted}; `coursepay dlq audit`")
    return _run(rows[0])


async def list_runs(connection: Transaction) -> Sequence[Run]:
    """All, in the order of the chain."""
    return [_run(row) for row in await connection.fetch(_LIST)]


def link_of(run: Run, items: str) -> Link:
    return Link(
        run_id=str(run.id),
        began=run.began,
        previous_sha256=run.previous_sha256,
        sha256=run.sha256,
        result=_result(run.state, run.counts, items),
        result_sha256=run.result_sha256,
    )


def _result(state: str, counts: Counts, items: str) -> Mapping[str, object]:
    names = ("replayed", "skipped_done", "parked", "failed", "back_in_dlq")
    return {"state": state, "items_sha256": items, **{name: getattr(counts, name) for name in names}}


async def _audit(
    transaction: Transaction, actor: str, action: str, run: Run, after: Mapping[str, object] | None
) -> None:
    stored = None if after is None else orjson.dumps(after).decode()
    await transaction.execute(_AUDIT, actor, action, str(run.id), run.reason, stored)


def _run(row: Row | None) -> Run:
    if row is None:
        raise LookupError("a run that was just written is not there")
    counts = {name: row[name] for name in ("replayed", "skipped_done", "parked", "failed", "back_in_dlq")}
    return Run(
        id=row["id"],
        worker=row["worker"],
        topic=row["topic"],
        actor=row["actor"],
        reason=row["reason"],
        target=row["target"],
        plan_sha256=row["plan_sha256"],
        state=row["state"],
        options=orjson.loads(row["options"]),
        started_at=row["started_at"],
        finished_at=row["finished_at"],
        planned=row["planned"],
        counts=Counts(**counts),
        previous_sha256=row["previous_sha256"],
        sha256=row["sha256"],
        result_sha256=row["result_sha256"],
    )
