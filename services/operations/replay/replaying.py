"""Beginning, resuming and ending a run, under the topic's lock: what `coursepay dlq replay` and the console call."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from services.common.database import Transaction, translated_errors
from services.common.errors import RecordError
from services.common.topics import Topics
from services.operations.replay.choosing.plan import Plan
from services.operations.replay.execution import Ended, Observe, Orders, Tools, execute, watch
from services.operations.replay.fates import Seen
from services.operations.replay.items import Item, add_items, count_decided, count_items, counts_from, finished_digest
from services.operations.replay.lock import Session, hold_topic
from services.operations.replay.recovery import recover
from services.operations.replay.refusals import RefusedError, RunCutOffError
from services.operations.replay.runs import (
    Counts,
    NewRun,
    Run,
    begin_run,
    end_run,
    find_run,
    note_back,
    reopen_run,
)
from services.operations.replay.targets import PARKED, Target, target_for
from services.operations.topic_reader import group_has_members


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """Who wants what, and why. `replays_max`: a record replayed that often is parked instead."""

    actor: str
    reason: str
    target: Target
    replays_max: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """How a run stands at the end of a command. `decided`: of those skipped, not done but decided about since the plan
    was made; `already`: with another run, finished by it before or taken over by it since; `remaining`: to be resumed;
    `seen`: None when it was not looked at, and `unseen` says why; `watched_s`: how long it was looked at them.
    """

    run: Run
    ended: Ended
    counts: Counts
    decided: int
    already: int
    remaining: int
    seen: Seen | None
    unseen: str
    watched_s: float

    @property
    def rate(self) -> float:
        """Records per second while sending, this time."""
        return self.ended.sent / self.ended.sending_s if self.ended.sending_s > 0 else 0.0


async def replay_plan(
    tools: Tools, plan: Plan, wish: Wish, orders: Orders, *, stop: asyncio.Event, observe: Observe
) -> Report:
    """Raises RefusedError when the plan is of other topics or another run is going on, RunCutOffError, and RecordError
    kinds before the run began.
    """
    topic = Topics.of(tools.settings).dead_letters(plan.worker)
    if plan.topic != topic:
        raise RefusedError(f"the plan is of {plan.topic}, this installation's dead letters are in {topic}")
    async with hold_topic(tools.database, topic) as session:
        await recover(tools.settings, session, plan.worker)
        async with session.transaction() as transaction:
            run = await begin_run(transaction, _new_run(plan, wish, orders))
            await add_items(transaction, run.id, topic, items_of(plan, wish))
        with _cut_off(run):
            return await _run(tools, session, run, wish.actor, orders, stop=stop, observe=observe)


async def resume_run(
    tools: Tools, run: Run, actor: str, orders: Orders, *, stop: asyncio.Event, observe: Observe
) -> Report:
    """Goes on with what is left of it; on a finished one this changes nothing. Raises as `replay_plan` does."""
    if run.topic != Topics.of(tools.settings).dead_letters(run.worker):
        raise RefusedError(f"the run is of {run.topic}, which is none of this installation's topics")
    async with hold_topic(tools.database, run.topic) as session:
        await recover(tools.settings, session, run.worker)
        async with session.transaction() as transaction:
            # It may have gone on since it was looked up.
            run = await find_run(transaction, str(run.id))
            if run.state == "finished":
                return await _finished(transaction, run)
            await reopen_run(transaction, run, actor)
        with _cut_off(run):
            return await _run(tools, session, run, actor, orders, stop=stop, observe=observe)


async def _finished(transaction: Transaction, run: Run) -> Report:
    results = await count_items(transaction, run.id)
    return Report(
        run=run,
        ended=Ended(state="finished", why=None, sent=0, sending_s=0.0),
        counts=run.counts,
        decided=await count_decided(transaction, run.id),
        already=run.planned - sum(results.values()),
        remaining=0,
        seen=None,
        unseen="it was finished before",
        watched_s=0.0,
    )


def items_of(plan: Plan, wish: Wish) -> list[Item]:
    """Each planned record with its target; what is done already is settled from the start."""
    return [
        Item(
            place=(item.partition, item.offset),
            target=target_for(wish.target, replay_count=item.replay_count, replays_max=wish.replays_max),
            digest=item.digest,
            result="skipped-done" if item.done else "planned",
        )
        for item in plan.items
    ]


def _new_run(plan: Plan, wish: Wish, orders: Orders) -> NewRun:
    return NewRun(
        worker=plan.worker,
        topic=plan.topic,
        actor=wish.actor,
        reason=wish.reason,
        target=wish.target,
        plan_sha256=plan.sha256,
        planned=len(plan.items),
        options={"rate": orders.rate, "replays_max": wish.replays_max, "filter": plan.chosen.to_json()},
    )


@contextmanager
def _cut_off(run: Run) -> Iterator[None]:
    try:
        with translated_errors():
            yield
    except RecordError as error:
        raise RunCutOffError(f"{error}; go on with: coursepay dlq replay --resume {run.id} --execute") from error


async def _run(
    tools: Tools, session: Session, run: Run, actor: str, orders: Orders, *, stop: asyncio.Event, observe: Observe
) -> Report:
    ended = await execute(tools, session, run, orders, stop=stop, observe=observe)
    # Before it is watched: whatever becomes of that, what the run did is on record.
    async with session.transaction() as transaction:
        results = await count_items(transaction, run.id)
        decided = await count_decided(transaction, run.id)
        counts = counts_from(results, run.counts.back_in_dlq)
        digest = await finished_digest(transaction, run.id)
        await end_run(transaction, run, actor=actor, state=ended.state, counts=counts, items=digest)
        run = await find_run(transaction, str(run.id))
    loop = asyncio.get_running_loop()
    began_s = loop.time()
    seen, unseen = None, "not watched"
    if orders.watch_s > 0 and run.target != PARKED and not stop.is_set():
        try:
            seen, unseen = await _watch(tools, run, ended, orders, stop)
            if seen is not None:
                async with session.transaction() as transaction:
                    await note_back(transaction, run, actor=actor, back_in_dlq=seen.back_in_dlq, items=digest)
                    run = await find_run(transaction, str(run.id))
        except RecordError as error:
            seen, unseen = None, f"not watched: {error}"
    return Report(
        run=run,
        ended=ended,
        counts=run.counts,
        decided=decided,
        already=run.planned - sum(results.values()),
        remaining=results.get("planned", 0) + results.get("sending", 0),
        seen=seen,
        unseen=unseen,
        watched_s=loop.time() - began_s,
    )


async def _watch(tools: Tools, run: Run, ended: Ended, orders: Orders, stop: asyncio.Event) -> tuple[Seen | None, str]:
    """What it saw, or why it did not look. Raises RecordError kinds."""
    # Waiting for records that no worker reads wastes a person's time; after a tripped guard one look is enough.
    if not await _somebody_handles(tools, run):
        return None, "no worker is running to handle them"
    return await watch(tools, run, within_s=0.0 if ended.state == "stopped" else orders.watch_s, stop=stop), ""


async def _somebody_handles(tools: Tools, run: Run) -> bool:
    topics = Topics.of(tools.settings)
    group = topics.retry_group(run.worker) if run.target == "first-tier" else topics.group(run.worker)
    return await group_has_members(tools.settings, group)


def report_json(report: Report) -> dict[str, Any]:
    """For programs; the names are the contract's."""
    run, counts = report.run, report.counts
    return {
        "run": str(run.id),
        "worker": run.worker,
        "topic": run.topic,
        "target": run.target,
        "executed": True,
        "state": run.state,
        "why": report.ended.why,
        "planned": run.planned,
        "replayed": counts.replayed,
        "skipped_done": counts.skipped_done,
        "skipped_decided": report.decided,
        "parked": counts.parked,
        "failed": counts.failed,
        "already": report.already,
        "remaining": report.remaining,
        "back_in_dlq": counts.back_in_dlq,
        "done": None if report.seen is None else report.seen.done,
        "watched_s": round(report.watched_s, 1),
        "rate": round(report.rate, 1),
        "plan_sha256": run.plan_sha256,
        "sha256": run.sha256,
    }
