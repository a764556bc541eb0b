"""What staff do through the gateway before a test begins, and a purchase from before coursepay."""

from datetime import UTC, datetime, timedelta
from typing import Any

import orjson

from services.common.events import purchase_id_of
from services.gateway_api.callers.roles import Role
from tests.support.gateway import SCHEDULE, STUDENT, Gateway, owner_connection

COURSE = "course-0001"
TRAINER: dict[str, Any] = {
    "name": "Asha Rao",
    "active": True,
    "courses": [COURSE],
    "gender": "female",
    "modes": ["online"],
    "timeZone": "Asia/Kolkata",
    "location": None,
    "travelRadiusKm": None,
    "weeklyCapacityMinutes": 1200,
    "weeklySlots": [{"weekday": day, "from": "16:00", "to": "24:00"} for day in range(1, 8)],
    "languages": ["hi", "en"],
    "timeOff": [],
}


async def ask(gateway: Gateway, method: str, path: str, body: object = None, **headers: str) -> tuple[int, Any]:
    """As staff-1 with the roles support and ops; `path` is below /api/v1/admin."""
    token = gateway.headers(Role.SUPPORT, Role.OPS, subject="staff-1")
    return await gateway.call(method, f"/api/v1/admin{path}", json=body, headers={**token, **headers})


async def put_trainer(gateway: Gateway, trainer_id: str = "trainer-1", **overrides: object) -> None:
    status, told = await ask(gateway, "PUT", f"/trainers/{trainer_id}", TRAINER | overrides)
    assert status == 200, told


async def add_purchase(
    database_url: str, order_id: str = "legacy-1", *, student: str = STUDENT, **schedule: object
) -> str:
    """Of ten sessions, made before coursepay: no order, no payment. Returns the order id."""
    now = datetime.now(UTC)
    metadata = {
        "schedule": {**SCHEDULE, **schedule},
        "timeSlot": SCHEDULE["timeSlot"],
        "timeZone": SCHEDULE["timeZone"],
    }
    async with owner_connection(database_url) as connection:
        await connection.execute(
            """
            INSERT INTO student_course_purchases
                (id, order_id, student_id, course_id, purchase_tier, sessions_total, purchase_date, expiry_date, status,
                 metadata)
            VALUES ($1, $2, $3, $4, 10, 10, $5, $6, 'active', $7)
            """,
            purchase_id_of(order_id),
            order_id,
            student,
            COURSE,
            now,
            now + timedelta(days=300),
            orjson.dumps(metadata).decode(),
        )
    return order_id
