"""The whole system as processes, with a catalogue to buy from."""

import re
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import aiohttp

from services.common.settings import Settings
from services.gateway_api.callers.roles import Role
from services.gateway_api.callers.tokens import issue_token
from services.operations.migrations import migrate
from services.sandbox.demo.database import own_database
from services.sandbox.demo.show import own_topics
from services.sandbox.demo.system import System, open_system
from services.sandbox.stack import Stack
from tests.support.assignment import World
from tests.support.events import payment_succeeded
from tests.support.gateway import add_course, owner_connection
from tests.support.services import announce

_TRAINERS = 8
_SCRAPE = aiohttp.ClientTimeout(total=1)
COURSE, STARVED, TAKEN = "course-0001", "course-0002", "course-0003"


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """`stack`: nobody else's, if a trouble stops its servers."""

    system: System
    stack: Stack
    http: aiohttp.ClientSession
    directory: Path

    @property
    def settings(self) -> Settings:
        return self.system.settings

    @property
    def database_url(self) -> str:
        return self.settings.required_database_url()

    @asynccontextmanager
    async def world(self) -> AsyncIterator[World]:
        """Only while PostgreSQL is there."""
        async with owner_connection(self.database_url) as connection:
            yield World(url=self.database_url, connection=connection)

    def headers(self, role: Role, subject: str) -> dict[str, str]:
        token = issue_token(self.settings, subject=subject, roles=[role], lifetime=timedelta(hours=1))
        return {"Authorization": f"Bearer {token}"}

    async def pay(self, students: str, count: int, course: str = COURSE, **payment: object) -> None:
        """Payments as the gateway would announce them, of so many students whose ids begin like that."""
        fields = {"course_id": course, "confirmed_at": datetime.now(UTC), **payment}
        events = [
            payment_succeeded(f"ord_{secrets.token_hex(6)}", student_id=f"{students}-{number}", **fields)
            for number in range(count)
        ]
        await announce(self.settings, *events)

    async def gauge(self, service: str, sample: str) -> float:
        """The sum over its labels, as the process itself shows it within a second. Raises TimeoutError."""
        url = self.system.children[service].ready_url.replace("/health/ready", "/metrics")
        async with self.http.get(url, timeout=_SCRAPE) as answer:
            text = await answer.text()
        return sum(float(value) for value in re.findall(rf"^{sample}(?:{{[^}}]*}})? (\S+)$", text, re.MULTILINE))

    async def restart(self, service: str) -> None:
        child = self.system.children[service]
        await child.stop()
        await child.start()
        await child.wait_until_ready()


@asynccontextmanager
async def scene_on(stack: Stack, directory: Path) -> AsyncIterator[Scene]:
    """With a database and topics of its own. Logs go to `directory`."""
    settings = Settings.from_environment(
        kafka_bootstrap_servers=stack.kafka_bootstrap_servers,
        kafka_partitions=2,
        database_url=stack.database_url,
        state_directory=directory,
    )
    timeout = aiohttp.ClientTimeout(total=30)
    async with own_database(settings) as with_database, own_topics(with_database) as own:
        await migrate(own.required_database_url())
        for course in (COURSE, STARVED, TAKEN):
            await add_course(own.required_database_url(), course)
        async with (
            open_system(own, directory=directory, push_error_rate=0) as system,
            aiohttp.ClientSession(timeout=timeout, connector=aiohttp.TCPConnector(limit=0)) as http,
        ):
            scene = Scene(system=system, stack=stack, http=http, directory=directory)
            async with scene.world() as world:
                for number in range(_TRAINERS):
                    await world.trainer(f"trainer-{number}", courses=[COURSE])
            yield scene
