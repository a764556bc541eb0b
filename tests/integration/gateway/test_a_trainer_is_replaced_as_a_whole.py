from typing import Any

import orjson

from tests.support.gateway import Gateway, owner_connection
from tests.support.staff import TRAINER, ask

PATH = "/trainers/trainer-1"
PLACE = {"latitude": 12.97, "longitude": 77.59}
SLOT = {"weekday": 1, "from": "16:00", "to": "18:00"}
BAD: list[dict[str, Any]] = [
    {"unknown": 1},
    {"name": ""},
    {"name": "\0"},
    {"courses": ["course-0001", "course-0001"]},
    {"gender": "other"},
    {"modes": []},
    {"modes": ["in_person"]},
    {"modes": ["in_person"], "location": PLACE},
    {"timeZone": "Nowhere"},
    {"travelRadiusKm": -1},
    {"weeklyCapacityMinutes": 60.5},
    {"weeklyCapacityMinutes": 10_081},
    {"weeklySlots": [SLOT | {"to": "16:00"}]},
    {"weeklySlots": [SLOT | {"from": "24:00"}]},
    {"weeklySlots": [SLOT | {"to": "24:01"}]},
    {"weeklySlots": [SLOT, SLOT | {"from": "17:00", "to": "19:00"}]},
    {"languages": ["Hindi!"]},
    {"timeOff": [{"startsAt": "2027-01-01T00:00:00", "endsAt": "2027-01-02T00:00:00Z"}]},
    {"timeOff": [{"startsAt": "2027-01-02T00:00:00Z", "endsAt": "2027-01-02T00:00:00Z"}]},
]


async def test_a_definition_out_of_bounds_is_422(gateway: Gateway) -> None:
    for overrides in BAD:
        status, told = await ask(gateway, "PUT", PATH, TRAINER | overrides)
        assert (status, told["type"]) == (422, "/problems/invalid-request"), overrides


async def test_what_is_left_out_is_a_mistake(gateway: Gateway) -> None:
    for name in TRAINER:
        body = {other: value for other, value in TRAINER.items() if other != name}
        status, told = await ask(gateway, "PUT", PATH, body)
        assert (status, told["errors"]) == (422, [{"field": name, "message": "Field required"}])


async def test_the_same_definition_twice_is_one_trainer_and_two_audit_rows(gateway: Gateway, database_url: str) -> None:
    travelling = {
        "modes": ["online", "in_person"],
        "location": PLACE,
        "travelRadiusKm": 12.5,
        "timeOff": [{"startsAt": "2027-01-01T00:00:00+05:30", "endsAt": "2027-01-08T00:00:00+05:30"}],
        "reason": "hired",
    }
    for _ in range(2):
        assert await ask(gateway, "PUT", PATH, TRAINER | travelling) == (
            200,
            {"trainerId": "trainer-1", "active": True},
        )
    async with owner_connection(database_url) as connection:
        assert await connection.fetchval("SELECT count(*) FROM trainers") == 1
        rows = await connection.fetch("SELECT before, after, reason FROM audit_log ORDER BY id")
    assert [row["reason"] for row in rows] == ["hired", "hired"]
    # What was there, in the same words: nothing changed the second time.
    assert [row["before"] for row in rows] == [None, rows[0]["after"]]
    assert rows[1]["after"] == rows[0]["after"]
    definition = {name: value for name, value in (TRAINER | travelling).items() if name not in {"reason", "timeOff"}}
    stored = orjson.loads(rows[0]["after"])
    assert stored.pop("timeOff")[0]["startsAt"] == "2026-12-31T18:30:00+00:00"
    assert stored == definition
    assert orjson.loads(rows[0]["after"])["weeklySlots"][0]["from"] == "16:00"
