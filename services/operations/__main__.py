"""Operations: figures from outside the workers, and the index of dead letters. `python -m services.operations`."""

import asyncio
import sys

import structlog

from services.common.codec import Codec, open_codec
from services.common.database import Database, open_database
from services.common.health import serve_health
from services.common.metrics import Metrics
from services.common.runtime import run_service
from services.common.settings import Settings
from services.common.topics import Topics
from services.operations.dead_letter_index import DeadLetterIndex
from services.operations.limits import (
    DATABASE_CONNECTIONS_MAX,
    INDEX_INTERVAL_S,
    INDEX_S,
    RECOUNT_INTERVAL_S,
    RECOUNT_S,
    RELEASE_INTERVAL_S,
    RELEASE_S,
    SAMPLE_INTERVAL_S,
    SAMPLE_S,
)
from services.operations.loops import Loop
from services.operations.recount import Recount
from services.operations.releases import Releases
from services.operations.replay.counting import ReplayCounter
from services.operations.sampler import Sampler

log = structlog.get_logger()


async def serve(settings: Settings, stop: asyncio.Event) -> None:
    settings.required_bootstrap_servers()
    metrics = Metrics("operations", Topics.of(settings))
    async with open_database(
        settings,
        role="coursepay_operations",
        application="coursepay-operations",
        connections_max=DATABASE_CONNECTIONS_MAX,
    ) as database:
        quick = _quick_loops(settings, database, metrics, await open_codec(settings))
        loops = [*quick, *_slow_loops(database, metrics)]
        async with (
            serve_health(
                host=settings.gateway_host,
                port=settings.metrics_port,
                registry=metrics.registry,
                live=lambda: all(loop.is_live for loop in loops),
                # Not those that walk through whole tables: where one of them fails, its figures are old and an alert
                # says so; a process that is never ready would do no more than hold up its own deploy.
                ready=lambda: all(loop.has_succeeded for loop in quick),
            ) as port,
            asyncio.TaskGroup() as tasks,
        ):
            log.info("listening", port=port)
            for loop in loops:
                tasks.create_task(loop.run(stop), name=loop.name)


def _quick_loops(settings: Settings, database: Database, metrics: Metrics, codec: Codec) -> list[Loop]:
    sampler = Sampler(settings, database, metrics)
    index = DeadLetterIndex(settings, database, codec)
    replays = ReplayCounter(database, metrics)
    every_s, within_s = SAMPLE_INTERVAL_S, SAMPLE_S
    return [
        Loop("sampler", sampler.sample, every_s=every_s, within_s=within_s, metrics=metrics),
        Loop("replay-counts", replays.count, every_s=every_s, within_s=within_s, metrics=metrics),
        Loop("dead-letter-index", index.update, every_s=INDEX_INTERVAL_S, within_s=INDEX_S, metrics=metrics),
    ]


def _slow_loops(database: Database, metrics: Metrics) -> list[Loop]:
    releases = Releases(database)
    recount = Recount(database, metrics)
    every_s, query_s = RECOUNT_INTERVAL_S, RECOUNT_S
    return [
        Loop("forgotten", recount.look_for_the_forgotten, every_s=every_s, within_s=query_s, metrics=metrics),
        Loop("drift", recount.look_for_drift, every_s=every_s, within_s=2 * query_s, metrics=metrics),
        Loop("releases", releases.sweep, every_s=RELEASE_INTERVAL_S, within_s=RELEASE_S, metrics=metrics),
    ]


if __name__ == "__main__":
    sys.exit(run_service("operations", serve))
