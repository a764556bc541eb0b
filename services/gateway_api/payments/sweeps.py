"""The nightly sweep: lists what each provider knows of the last days and takes what nobody has told here.

The reconciler asks about orders that look unpaid; this finds the rest: a capture whose webhook was lost after the last
question, a refund or a dispute made in the provider's dashboard. What it finds goes the way of webhooks, so that it
decides nothing by itself; money for no order of ours is told of each time.

One gateway at a time sweeps a provider, under a lease. It is renewed while the sweep works, and a sweep whose lease
could not be renewed ends before that does, so that whoever claims it next is alone with it. A sweep that is stopped or
fails gives its lease back at once; that of a gateway that was killed runs out.
Tables: provider_sweeps; payment_facts (read).
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import structlog

from services.common.database import Database
from services.common.errors import RecordError
from services.common.telemetry.traces import span
from services.gateway_api.dependencies import Dependencies
from services.gateway_api.limits import SWEEP_AGAIN_S, SWEEP_FACTS, SWEEP_LEASE_S, SWEEPS_POLL_S
from services.gateway_api.payments.recording import Recorder, open_recorder
from services.gateway_api.providers import Provider, ProviderRefusedError, VerifiedPayment
from services.gateway_api.providers.meanings import Meaning
from services.gateway_api.web.problems import Problem

log = structlog.get_logger()
_LEASE = timedelta(seconds=SWEEP_LEASE_S)
# The rest of a lease is for ending.
_WORK_S = SWEEP_LEASE_S * 0.9
_KNOW = "INSERT INTO provider_sweeps (provider) SELECT unnest($1::text[]) ON CONFLICT DO NOTHING"
_CLAIM = """
UPDATE provider_sweeps SET lease_until = now() + $2::interval, lease_token = $1
 WHERE provider = (SELECT provider FROM provider_sweeps
                    WHERE provider = ANY ($3::text[]) AND due_at <= now()
                      AND (lease_until IS NULL OR lease_until < now())
                    ORDER BY due_at LIMIT 1 FOR UPDATE SKIP LOCKED)
RETURNING provider
"""
_RENEW = "UPDATE provider_sweeps SET lease_until = now() + $3::interval WHERE provider = $1 AND lease_token = $2"
_GIVE_BACK = """
UPDATE provider_sweeps
   SET due_at = GREATEST(due_at, clock_timestamp() + $2::interval), lease_until = NULL, lease_token = NULL
 WHERE provider = ANY ($3::text[]) AND lease_token = $1
"""
_FINISH = """
UPDATE provider_sweeps
   SET due_at = clock_timestamp() + $3::interval, swept_until = COALESCE($4, swept_until),
       facts_found = $5, strangers_found = $6, lease_until = NULL, lease_token = NULL
 WHERE provider = $1 AND lease_token = $2
"""
_AGES = """
SELECT provider, extract(epoch FROM clock_timestamp() - COALESCE(swept_until, known_since))::float8 AS age_s
  FROM provider_sweeps WHERE provider = ANY ($1::text[])
"""
_KNOWN = """
SELECT entity_id, status, max(cumulative) AS cumulative, bool_and(order_id IS NULL) AS is_nobodys
  FROM payment_facts WHERE provider = $1 AND entity_id = ANY ($2::text[]) GROUP BY entity_id, status
"""


@dataclass(slots=True, kw_only=True)
class Found:
    """`facts`: nobody had told them. `strangers`: payments that took money for no order of ours. `refused`: lists, or
    orders, about which the provider would not tell: what is in them was not compared.
    """

    facts: int = 0
    strangers: int = 0
    refused: int = 0


async def run_sweeps(dependencies: Dependencies, drained: asyncio.Event) -> None:
    """Until `drained`; another gateway then begins anew what is not finished. Any number of gateways share the work."""
    sweeping = asyncio.create_task(_sweep_again_and_again(dependencies))
    stopping = asyncio.create_task(drained.wait())
    try:
        await asyncio.wait((sweeping, stopping), return_when=asyncio.FIRST_COMPLETED)
    finally:
        stopping.cancel()
        sweeping.cancel()
        await asyncio.wait((sweeping,))
    if not sweeping.cancelled():
        sweeping.result()


async def _sweep_again_and_again(dependencies: Dependencies) -> None:
    recorder = open_recorder(dependencies)
    # A shop that wants it sooner is not kept waiting by a poll that is longer.
    poll_s = min(SWEEPS_POLL_S, dependencies.settings.sweep_interval_s)
    while True:
        try:
            await sweep_due(dependencies, recorder)
        except (RecordError, Problem, TimeoutError) as error:
            # The next one begins anew: nothing is half done.
            log.warning("sweep_interrupted", error=str(error) or type(error).__name__)
        with suppress(RecordError):
            await _show_ages(dependencies)
        await asyncio.sleep(poll_s)


async def sweep_due(dependencies: Dependencies, recorder: Recorder) -> Found | None:
    """One provider whose turn it is; None when there is none. Raises RecordError when the provider or PostgreSQL is
    away, Problem when the gateway has more to do than it can, TimeoutError when the lease was lost.
    """
    token = uuid4()
    try:
        return await _sweep(dependencies, recorder, token)
    except BaseException as error:
        # Whoever is stopped leaves it to the others, who need not wait.
        is_stopped = isinstance(error, asyncio.CancelledError)
        again_s = 0.0 if is_stopped else min(SWEEP_AGAIN_S, dependencies.settings.sweep_interval_s)
        with suppress(RecordError):
            async with dependencies.database.connection() as connection:
                names = list(dependencies.providers)
                await connection.execute(_GIVE_BACK, token, timedelta(seconds=again_s), names)
        raise


async def _sweep(dependencies: Dependencies, recorder: Recorder, token: UUID) -> Found | None:
    settings, database = dependencies.settings, dependencies.database
    claimed_at = asyncio.get_running_loop().time()
    name = await _claim(database, token, list(dependencies.providers))
    if name is None:
        return None
    until, found = datetime.now(UTC), Found()
    with span(f"sweep {name}"):
        since = until - timedelta(seconds=settings.sweep_window_s)
        async with _renewed(database, name, token, claimed_at):
            async for facts in _in_parts(dependencies.providers[name], since, until, found):
                await _take(database, recorder, name, facts, found)
        again = timedelta(seconds=settings.sweep_interval_s)
        async with database.connection() as connection:
            # In any case: what was refused today must not keep the rest from being compared tomorrow.
            compared = None if found.refused else until
            await connection.execute(_FINISH, name, token, again, compared, found.facts, found.strangers)
    write = log.error if found.strangers else log.info
    write("sweep_finished", provider=name, records=found.facts, failed=found.strangers)
    return found


async def _claim(database: Database, token: UUID, names: list[str]) -> str | None:
    async with database.connection() as connection:
        await connection.execute(_KNOW, names)
        name: str | None = await connection.fetchval(_CLAIM, token, _LEASE, names)
        return name


@asynccontextmanager
async def _renewed(database: Database, name: str, token: UUID, claimed_at: float) -> AsyncIterator[None]:
    """What is inside ends with a TimeoutError before the lease does. `claimed_at` is of the loop's clock."""
    async with asyncio.timeout_at(claimed_at + _WORK_S) as limit:
        renewing = asyncio.create_task(_renew(database, name, token, limit))
        try:
            yield
        finally:
            renewing.cancel()
            await asyncio.wait((renewing,))


async def _renew(database: Database, name: str, token: UUID, limit: asyncio.Timeout) -> None:
    """Until cancelled, or until somebody else has the lease."""
    loop, is_ours = asyncio.get_running_loop(), True
    while is_ours:
        await asyncio.sleep(SWEEP_LEASE_S / 4)
        asked_at = loop.time()
        # PostgreSQL may be back before the lease ends.
        with suppress(RecordError):
            async with database.connection() as connection:
                is_ours = await connection.execute(_RENEW, name, token, _LEASE) == "UPDATE 1"
            if not limit.expired():
                limit.reschedule(asked_at + _WORK_S if is_ours else asked_at)


async def _show_ages(dependencies: Dependencies) -> None:
    async with dependencies.database.connection() as connection:
        for row in await connection.fetch(_AGES, list(dependencies.providers)):
            dependencies.metrics.sweep_age.labels(row["provider"]).set(row["age_s"])


async def _in_parts(
    provider: Provider, since: datetime, until: datetime, found: Found
) -> AsyncIterator[list[VerifiedPayment]]:
    part = list[VerifiedPayment]()
    async for fact in provider.list_facts(since, until):
        if isinstance(fact, ProviderRefusedError):
            log.error("sweep_list_refused", provider=provider.name, error=str(fact))
            found.refused += 1
            continue
        part.append(fact)
        if len(part) == SWEEP_FACTS:
            yield part
            part = []
    yield part


async def _take(
    database: Database, recorder: Recorder, provider: str, facts: Sequence[VerifiedPayment], found: Found
) -> None:
    async with database.connection() as connection:
        rows = await connection.fetch(_KNOWN, provider, [fact.entity_id for fact in facts])
    # A payment whose order is not known is looked at anew: there may be one by now, and a person is told if not.
    known = {(row["entity_id"], row["status"]): row["cumulative"] or 0 for row in rows if not row["is_nobodys"]}
    news = [
        fact
        for fact in facts
        if fact.meaning is not None and (fact.cumulative or 0) > known.get((fact.entity_id, fact.meaning), -1)
    ]
    for fact, recorded in zip(news, await asyncio.gather(*(recorder.record(one) for one in news)), strict=True):
        found.facts += recorded.new
        if recorded.order_id is None and fact.meaning is Meaning.CAPTURED:
            found.strangers += 1
