"""A world of trainers and purchases, set up and looked at past the grants of the services."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg
import orjson

from services.common.events import purchase_id_of

COURSE = "course-0001"
STUDENT = "student-1"
# A Monday, far enough ahead that no test depends on the day it runs.
MONDAY = date(2027, 11, 1)
TRAINER: Mapping[str, Any] = {
    "name": "Asha Rao",
    "active": True,
    "courses": [COURSE],
    "gender": "female",
    "modes": ["online"],
    "timeZone": "Asia/Kolkata",
    "location": None,
    "travelRadiusKm": None,
    "weeklyCapacityMinutes": 1200,
    "weeklySlots": [{"weekday": day, "from": "16:00", "to": "21:00"} for day in range(1, 8)],
    "languages": ["hi"],
    "timeOff": [],
}
SCHEDULE: Mapping[str, Any] = {
    "startDate": MONDAY.isoformat(),
    "timeSlot": "18:00",
    "weekdays": [1, 3],
    "timeZone": "Asia/Kolkata",
    "durationMinutes": 60,
    "mode": "online",
    "preferredGender": None,
    "location": None,
    "flexibility": [],
}


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """`connection` acts as the login of the URL."""

    url: str
    connection: "asyncpg.Connection[asyncpg.Record]"

    async def trainer(self, trainer_id: str, **overrides: object) -> None:
        """As PUT trainers; names as in its body."""
        definition = orjson.dumps({**TRAINER, **overrides}).decode()
        await self.connection.execute("SELECT upsert_trainer($1, $2::jsonb)", trainer_id, definition)

    async def purchase(
        self, order_id: str, *, student: str = STUDENT, course: str = COURSE, tier: int = 10, **schedule: object
    ) -> UUID:
        """Of `tier` sessions, made now; `schedule` overrides SCHEDULE."""
        purchase_id = purchase_id_of(order_id)
        await self.connection.execute(
            """
            INSERT INTO student_course_purchases
                (id, order_id, student_id, course_id, purchase_tier, sessions_total, purchase_date, expiry_date,
                 metadata)
            VALUES ($1, $2, $3, $4, $5, $5, $6, $7, $8)
            """,
            purchase_id,
            order_id,
            student,
            course,
            tier,
            datetime.now(UTC),
            datetime(2028, 12, 31, tzinfo=UTC),
            orjson.dumps({"schedule": {**SCHEDULE, **schedule}}).decode(),
        )
        return purchase_id

    async def assign(self, purchase_id: UUID) -> asyncpg.Record:
        return await self._row("SELECT * FROM assign_trainer($1, 'auto')", purchase_id)

    async def buy(self, order_id: str, **purchase: Any) -> asyncpg.Record:  # noqa: ANN401 - as `purchase`
        """A purchase and the decision about it."""
        return await self.assign(await self.purchase(order_id, **purchase))

    async def adjust(self, purchase_id: UUID, **columns: object) -> asyncpg.Record:
        """Sets columns of the purchase, then has its allocation follow."""
        for name, value in columns.items():
            await self.connection.execute(
                f"UPDATE student_course_purchases SET {name} = $2 WHERE id = $1",  # noqa: S608 - a test's own name
                purchase_id,
                value,
            )
        return await self._row("SELECT * FROM adjust_allocation($1)", purchase_id)

    async def sessions(self, purchase_id: UUID, *, status: str = "scheduled") -> Sequence[asyncpg.Record]:
        return await self.connection.fetch(
            """
            SELECT session.* FROM tutoring_sessions session JOIN trainer_allocations a ON a.id = session.allocation_id
             WHERE a.purchase_id = $1 AND session.status = $2 ORDER BY session.starts_at
            """,
            purchase_id,
            status,
        )

    async def starts(self, purchase_id: UUID) -> list[datetime]:
        return [row["starts_at"] for row in await self.sessions(purchase_id)]

    async def reason(self, purchase_id: UUID) -> dict[str, Any]:
        text = await self.connection.fetchval(
            "SELECT reason FROM trainer_allocations WHERE purchase_id = $1 AND status <> 'cancelled'", purchase_id
        )
        told: dict[str, Any] = orjson.loads(text)
        return told

    async def load(self, trainer_id: str) -> int:
        found: int = await self.connection.fetchval(
            "SELECT load_minutes FROM trainers WHERE trainer_id = $1", trainer_id
        )
        return found

    async def drifted(self) -> Sequence[asyncpg.Record]:
        """The trainers and offers whose load is not that of their live allocations. Must be empty at any time."""
        return await self.connection.fetch(
            """
            SELECT trainer_id, trainers.load_minutes, counted, offer.load_minutes AS offered
              FROM trainers LEFT JOIN trainer_offers offer USING (trainer_id), LATERAL (
                   SELECT COALESCE(sum(weekly_minutes), 0) AS counted FROM trainer_allocations a
                    WHERE a.trainer_id = trainers.trainer_id AND a.status = 'approved'
                      AND a.released_at IS NULL) AS live
             WHERE trainers.load_minutes <> counted OR offer.load_minutes <> counted
            """
        )

    async def _row(self, query: str, *arguments: object) -> asyncpg.Record:
        row = await self.connection.fetchrow(query, *arguments)
        assert row is not None
        return row


@asynccontextmanager
async def world_in(database_url: str) -> AsyncIterator[World]:
    connection = await asyncpg.connect(database_url, server_settings={"timezone": "UTC"})
    try:
        await connection.execute("INSERT INTO courses (course_id, calendar) VALUES ($1, 'XX')", COURSE)
        yield World(url=database_url, connection=connection)
    finally:
        await connection.close()


def local(moment: datetime, hours: float = 5.5) -> datetime:
    """On a clock that is `hours` ahead of UTC; India's by default. Without a zone, to compare with plain dates."""
    return (moment.astimezone(UTC) + timedelta(hours=hours)).replace(tzinfo=None)
