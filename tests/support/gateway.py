"""A gateway's HTTP side for tests: the real application on a real socket, with the sandbox as its payment provider."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import asyncpg
import orjson

from services.common.codec import load_codec
from services.common.database import open_database
from services.common.metrics import Metrics
from services.common.settings import PREFIX, Settings
from services.common.topics import Topics
from services.gateway_api.app import create_app
from services.gateway_api.callers.roles import Role
from services.gateway_api.callers.tokens import issue_token
from services.gateway_api.dependencies import Dependencies
from services.gateway_api.limits import BODY_READ_S, DATABASE_DEADLINE
from services.gateway_api.providers import load_providers
from services.gateway_api.web.listener import listen
from services.sandbox.accounts import Accounts, sandbox_accounts, sandbox_environment
from services.sandbox.failures import Failures
from services.sandbox.ports import free_ports
from services.sandbox.server import serve_sandbox

STUDENT = "student-1"
SCHEDULE: Mapping[str, object] = {
    "startDate": (datetime.now(UTC) + timedelta(days=7)).date().isoformat(),
    "timeSlot": "18:00",
    "weekdays": [1, 3],
    "timeZone": "Asia/Kolkata",
    "durationMinutes": 60,
    "mode": "online",
    "preferredGender": None,
    "location": None,
}

_ORDERS = """
WITH made AS (
    INSERT INTO orders (order_id, provider, provider_order_id, student_id, course_id, purchase_tier, amount_minor,
                        currency, schedule)
    SELECT 'ord_' || n, 'razorpay', 'order_' || n, 'student-1', 'course-0001', 10, 500000, 'INR', $1::jsonb
      FROM generate_series(1, $2::int) n
    RETURNING order_id)
INSERT INTO payments (order_id, provider, amount_minor, currency) SELECT order_id, 'razorpay', 500000, 'INR' FROM made
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Gateway:
    """`url` without a trailing slash; `accounts`: what the providers and the gateway share."""

    url: str
    http: aiohttp.ClientSession
    settings: Settings
    accounts: Accounts
    dependencies: Dependencies

    @property
    def port(self) -> int:
        return int(self.url.rsplit(":", 1)[1])

    def headers(self, *roles: Role, subject: str = STUDENT) -> dict[str, str]:
        token = issue_token(self.settings, subject=subject, roles=roles, lifetime=timedelta(minutes=5))
        return {"Authorization": f"Bearer {token}"}

    async def call(self, method: str, path: str, **options: Any) -> tuple[int, Any]:  # noqa: ANN401 - JSON
        """(status, JSON value or text)."""
        async with self.http.request(method, self.url + path, **options) as answer:
            is_json = answer.content_type.endswith("json")
            return answer.status, await (answer.json(content_type=None) if is_json else answer.text())


@asynccontextmanager
async def running_gateway(
    database_url: str,
    state_directory: Path,
    *,
    body_read_s: float = BODY_READ_S,
    webhooks: bool = False,
    **settings: object,
) -> AsyncIterator[Gateway]:
    """`settings` are laid over those of a development gateway beside a sandbox; `webhooks`: which then calls it."""
    own_port = free_ports(1)[0] if webhooks else 0
    accounts = sandbox_accounts(Settings(), f"http://127.0.0.1:{own_port}" if webhooks else "")
    async with (
        serve_sandbox(accounts, port=0, failures=Failures()) as sandbox_port,
        aiohttp.ClientSession() as http,
    ):
        sandbox = sandbox_environment(accounts, f"http://127.0.0.1:{sandbox_port}")
        values: dict[str, object] = {name.removeprefix(PREFIX).lower(): value for name, value in sandbox.items()}
        values |= {"database_url": database_url, "state_directory": state_directory}
        chosen = Settings.from_environment(**{"database_deadline": DATABASE_DEADLINE, **values, **settings})
        topics = Topics.of(chosen)
        async with open_database(chosen, role="coursepay_gateway", application="test") as database:
            dependencies = Dependencies(
                settings=chosen,
                database=database,
                codec=load_codec(),
                topics=topics,
                metrics=Metrics("gateway", topics),
                http=http,
                providers=load_providers(chosen, http),
            )
            app = create_app(dependencies, body_read_s=body_read_s)
            async with listen(app, host="127.0.0.1", port=own_port, connections_max=chosen.max_connections) as port:
                yield Gateway(
                    url=f"http://127.0.0.1:{port}",
                    http=http,
                    settings=chosen,
                    accounts=accounts,
                    dependencies=dependencies,
                )


@asynccontextmanager
async def owner_connection(database_url: str) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
    """As the login of the URL, past the grants of the services: to set a scene or to look behind it."""
    connection = await asyncpg.connect(database_url)
    try:
        yield connection
    finally:
        await connection.close()


async def add_course(database_url: str, course_id: str = "course-0001", amount_minor: int = 500_000) -> None:
    """A course with a price for each tier."""
    async with owner_connection(database_url) as connection:
        await connection.execute("INSERT INTO courses (course_id, calendar) VALUES ($1, 'IN')", course_id)
        await connection.executemany(
            "INSERT INTO course_prices (course_id, purchase_tier, amount_minor, currency) VALUES ($1, $2, $3, 'INR')",
            [(course_id, tier, amount_minor * tier // 10) for tier in (10, 20, 30)],
        )


async def add_orders(database_url: str, count: int) -> None:
    """ord_1, ord_2 ... of course-0001 with order_1, order_2 ... at Razorpay, as if each had been placed."""
    async with owner_connection(database_url) as connection:
        await connection.execute(_ORDERS, orjson.dumps(SCHEDULE).decode(), count)


def order_body(**overrides: object) -> dict[str, Any]:
    body: dict[str, Any] = {
        "courseId": "course-0001",
        "purchaseTier": 10,
        "provider": "razorpay",
        "schedule": dict(SCHEDULE),
        "metadata": {"channel": "web"},
    }
    return body | overrides


async def place_order(gateway: Gateway, *, key: str, subject: str = STUDENT, **overrides: object) -> dict[str, Any]:
    headers = {**gateway.headers(Role.STUDENT, subject=subject), "Idempotency-Key": key}
    status, told = await gateway.call("POST", "/api/v1/orders", json=order_body(**overrides), headers=headers)
    assert status == 201, told
    assert isinstance(told, dict)
    return told
