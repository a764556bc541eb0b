"""The notifier. `python -m services.notifier`."""

import asyncio
import sys

import aiohttp

from services.common.breaker import Breaker
from services.common.database import open_database
from services.common.events import AllocationPending, PurchaseAdjusted, PurchaseCreated, TrainerAssigned
from services.common.metrics import Metrics
from services.common.runtime import run_service
from services.common.settings import Settings
from services.common.topics import Topics
from services.engine.worker import Networked, run_worker
from services.notifier.courses import CourseNames
from services.notifier.handler import Notifier
from services.notifier.limits import COURSE_CALL_S
from services.notifier.notifications import Notifications
from services.notifier.outside import OutsideService, open_http
from services.notifier.push import Push


async def serve(settings: Settings, stop: asyncio.Event) -> None:
    metrics = Metrics("notifier", Topics.of(settings))
    async with (
        open_database(settings, role="coursepay_notifier", application="coursepay-notifier") as database,
        open_http() as http,
    ):
        notifier = Notifier(Notifications(database), _push(settings, http, metrics), _courses(settings, http, metrics))
        shape = Networked(
            dict.fromkeys((PurchaseCreated, TrainerAssigned, AllocationPending, PurchaseAdjusted), notifier.notify)
        )
        await run_worker(settings, "notifier", shape, stop, database=database, own=metrics)


def _push(settings: Settings, http: aiohttp.ClientSession, metrics: Metrics) -> Push | None:
    if settings.push_url is None:
        return None
    breaker = Breaker(metrics.circuit_state.labels("push_service"))
    return Push(OutsideService("push_service", settings.push_url, http=http, breaker=breaker))


def _courses(settings: Settings, http: aiohttp.ClientSession, metrics: Metrics) -> CourseNames:
    if settings.course_service_url is None:
        return CourseNames(None)
    breaker = Breaker(metrics.circuit_state.labels("course_service"))
    service = OutsideService(
        "course_service", settings.course_service_url, http=http, breaker=breaker, within_s=COURSE_CALL_S
    )
    return CourseNames(service)


if __name__ == "__main__":
    sys.exit(run_service("notifier", serve))
