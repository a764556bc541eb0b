"""The demo as one sequence: prepare, offer payments while things go wrong, wait until quiet, read the evidence."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import aiohttp

from services.common.codec import load_codec
from services.common.database import Database
from services.common.errors import DependencyError
from services.common.settings import Settings
from services.common.topic_admin import apply_topics, delete_topics
from services.gateway_api.callers.roles import Role
from services.gateway_api.callers.tokens import issue_token
from services.operations.migrations import migrate
from services.sandbox.catalogue import build_catalogue
from services.sandbox.demo.browser import Browser, PlacedOrder, open_http
from services.sandbox.demo.database import open_as_owner, own_database
from services.sandbox.demo.load import Progress, offer
from services.sandbox.demo.patience import patiently
from services.sandbox.demo.plan import COURSES, PUSH_ERROR_RATE, TRAINERS, Journey, Plan
from services.sandbox.demo.poison import put_poison
from services.sandbox.demo.quiet import wait_until_quiet
from services.sandbox.demo.sabotage import install_sabotage, sabotage
from services.sandbox.demo.stages import StageCounts, read_stage_counts
from services.sandbox.demo.system import System, open_system
from services.sandbox.ledger.checker import check
from services.sandbox.ledger.database_evidence import read_database_evidence
from services.sandbox.ledger.evidence import Evidence
from services.sandbox.ledger.figures import Ledger, make_ledger
from services.sandbox.ledger.kafka_evidence import read_kafka_evidence
from services.sandbox.seeding import seed_catalogue

QUIET_S = 120.0
_LOOK_S = 0.4
_TOKEN_LIFETIME = timedelta(hours=1)
Meanwhile = Callable[[System], Awaitable[None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Watcher:
    """Told what happens, for people. `counts` gets the journeys so far and the stages in the database."""

    phase: Callable[[str], None]
    counts: Callable[[Progress, StageCounts], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """`refused`: orders that could not even be placed. `moving`: what had not come to an end in time."""

    ledger: Ledger
    refused: list[str]

    @property
    def good(self) -> bool:
        return self.ledger.balanced and not self.refused


async def _nothing(_system: System) -> None:
    return None


async def show(
    settings: Settings, plan: Plan, *, directory: Path, watcher: Watcher, meanwhile: Meanwhile = _nothing
) -> Shown:
    """Runs the whole demo on the stack that `settings` name, in a database and topics of its own, which it removes.

    `meanwhile` runs beside the load: tests kill and stop things there. Logs of the services go to `directory`.
    Raises ChildFailedError when a service does not start, RecordError kinds when the stack does not answer.
    """
    watcher.phase("preparing a database, topics and a catalogue")
    async with (
        own_database(settings) as with_database,
        own_topics(with_database) as own,
        open_as_owner(own) as database,
    ):
        await _prepare(own, database, plan)
        progress = Progress()
        watcher.phase("starting the services")
        async with (
            open_system(own, directory=directory, push_error_rate=PUSH_ERROR_RATE) as system,
            open_http() as http,
            _watched(database, progress, watcher),
        ):
            browser = _browser(system, http)
            watcher.phase(f"offering {len(plan.journeys)} payments, {plan.rate:g} a second")
            await asyncio.gather(_load(plan, browser, progress, database, own), meanwhile(system))
            watcher.phase("waiting until nothing moves")
            await wait_until_quiet(own, database, http, system.sandbox_url, within_s=QUIET_S)
        watcher.phase("reading PostgreSQL and Kafka")
        codec = load_codec()
        evidence = Evidence(
            answers=browser.answers,
            database=await read_database_evidence(database, codec),
            kafka=await read_kafka_evidence(own, codec),
        )
        return Shown(ledger=make_ledger(evidence, check(evidence)), refused=progress.refused)


@asynccontextmanager
async def own_topics(settings: Settings) -> AsyncIterator[Settings]:
    """Yields the settings with a prefix that nobody else has; its topics are deleted on exit."""
    own = settings.model_copy(update={"kafka_topic_prefix": f"demo-{secrets.token_hex(4)}-"})
    await apply_topics(own)
    try:
        yield own
    finally:
        await patiently(delete_topics)(own)


async def _prepare(settings: Settings, database: Database, plan: Plan) -> None:
    await migrate(settings.required_database_url())
    catalogue = build_catalogue(courses=COURSES, trainers=TRAINERS, seed=plan.seed, starved_courses=1)
    await seed_catalogue(database, catalogue)
    await install_sabotage(database, plan)


def _browser(system: System, http: aiohttp.ClientSession) -> Browser:
    def token_of(student: str) -> str:
        return issue_token(system.settings, subject=student, roles=[Role.STUDENT], lifetime=_TOKEN_LIFETIME)

    return Browser(
        http=http,
        gateway_url=system.gateway_url,
        sandbox_url=system.sandbox_url,
        token_of=token_of,
        run=system.settings.kafka_topic_prefix,
    )


async def _load(plan: Plan, browser: Browser, progress: Progress, database: Database, settings: Settings) -> None:
    async def prepare(journey: Journey, order: PlacedOrder) -> None:
        if journey.failure is not None:
            await patiently(sabotage)(database, order_id=order.order_id, number=journey.number, failure=journey.failure)

    await asyncio.gather(offer(plan, browser, progress, prepare=prepare), put_poison(settings, plan))


@asynccontextmanager
async def _watched(database: Database, progress: Progress, watcher: Watcher) -> AsyncIterator[None]:
    async def watch() -> None:
        while True:
            try:
                watcher.counts(progress, await read_stage_counts(database))
            except DependencyError:
                watcher.counts(progress, StageCounts())
            await asyncio.sleep(_LOOK_S)

    task = asyncio.create_task(watch())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
