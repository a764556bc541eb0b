"""A notifier without an engine: its handler against a real database and whatever services a test has."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, Gauge

from services.common.breaker import Breaker
from services.common.database import Database
from services.notifier.courses import CourseNames
from services.notifier.handler import Notifier
from services.notifier.notifications import Notifications
from services.notifier.outside import OutsideService, open_http
from services.notifier.push import Push


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """`circuit`: coursepay_circuit_state by dependency."""

    notifier: Notifier
    circuit: Gauge
    database: Database

    def circuit_of(self, dependency: str) -> float:
        value: float = self.circuit.labels(dependency)._value.get()
        return value

    async def statuses(self) -> list[str]:
        async with self.database.connection() as connection:
            rows = await connection.fetch("SELECT status FROM notifications ORDER BY created_at")
        return [row["status"] for row in rows]


@asynccontextmanager
async def open_desk(
    database: Database,
    *,
    push_url: str | None,
    course_url: str | None = None,
    within_s: float = 1.0,
    open_s: float = 5.0,
) -> AsyncIterator[Desk]:
    circuit = Gauge("circuit", "test", ["dependency"], registry=CollectorRegistry())
    async with open_http() as http:

        def service(name: str, url: str) -> OutsideService:
            breaker = Breaker(circuit.labels(name), open_s=open_s)
            return OutsideService(name, url, http=http, breaker=breaker, within_s=within_s)

        notifier = Notifier(
            Notifications(database),
            Push(service("push_service", push_url)) if push_url is not None else None,
            CourseNames(service("course_service", course_url) if course_url is not None else None),
        )
        yield Desk(notifier=notifier, circuit=circuit, database=database)
