"""In each world the trainer who may not be taken is the better one by everything else."""

from typing import Any

import pytest

from tests.support.assignment import COURSE, World

HOME = {"latitude": 12.97, "longitude": 77.59}
# About 11 km to the north, on 1 km about 0.009 degrees.
ELEVEN_KM_AWAY = {"latitude": 13.07, "longitude": 77.59}
TRAVELLING: dict[str, Any] = {"modes": ["online", "in_person"], "location": HOME, "travelRadiusKm": 8}
IN_PERSON: dict[str, Any] = {"mode": "in_person", "location": HOME}


async def _busy(world: World, trainer: str, purchases: int = 2) -> None:
    """Gives the trainer weekly load, in the mornings of a course of its own."""
    morning = [{"weekday": 6, "from": "08:00", "to": "12:00"}]
    course = f"only-{trainer}"
    definition = {"courses": [COURSE, course], "weeklySlots": morning}
    await world.trainer(trainer, **definition)
    for number in range(purchases):
        decision = await world.buy(
            f"busy-{trainer}-{number}",
            student=f"busy-{trainer}-{number}",
            course=course,
            weekdays=[6],
            timeSlot=f"{8 + number:02}:00",
        )
        assert decision["result"] == "ok"


async def test_specialty(world: World) -> None:
    await world.trainer("idle-stranger", courses=["course-0002"])
    await _busy(world, "specialist")
    await world.trainer("specialist")
    assert (await world.buy("order-1"))["trainer_id"] == "specialist"


async def test_an_inactive_trainer_teaches_nothing(world: World) -> None:
    await world.trainer("gone", active=False)
    assert (await world.buy("order-1"))["filter"] == "specialty"


async def test_gender(world: World) -> None:
    await world.trainer("idle-man", gender="male")
    await world.trainer("idle-unsaid", gender=None)
    await _busy(world, "woman")
    await world.trainer("woman", gender="female")
    assert (await world.buy("order-1", preferredGender="female"))["trainer_id"] == "woman"
    unavailable = await world.buy("order-2", student="student-2", course="course-0003", preferredGender="male")
    assert unavailable["filter"] == "specialty"
    await world.trainer("woman-2", courses=["course-0003"])
    only_women = await world.buy("order-3", student="student-3", course="course-0003", preferredGender="male")
    assert only_women["filter"] == "gender"


async def test_slot(world: World) -> None:
    await world.trainer(
        "idle-too-early", weeklySlots=[{"weekday": day, "from": "08:00", "to": "18:30"} for day in (1, 3)]
    )
    await world.trainer("idle-one-day", weeklySlots=[{"weekday": 1, "from": "16:00", "to": "24:00"}])
    assert (await world.buy("order-1"))["filter"] == "slot"
    await world.trainer("exact", weeklySlots=[{"weekday": day, "from": "18:00", "to": "19:00"} for day in (1, 3)])
    assert (await world.buy("order-2", student="student-2"))["trainer_id"] == "exact"


async def test_the_exact_dates(world: World) -> None:
    await world.trainer("taken", gender="female")
    first = await world.buy("order-1")
    assert first["trainer_id"] == "taken"
    same_time = await world.buy("order-2", student="student-2")
    assert (same_time["status"], same_time["filter"]) == ("pending", "slot")
    touching = await world.buy("order-3", student="student-2", timeSlot="19:00")
    assert touching["trainer_id"] == "taken"


async def test_workload_the_least_loaded_by_share_of_capacity_is_taken(world: World) -> None:
    await world.trainer("large", weeklyCapacityMinutes=2400)
    await world.trainer("small", weeklyCapacityMinutes=240)
    taken = [(await world.buy(f"order-{n}", student=f"student-{n}", timeSlot=f"{16 + n % 4}:00"))["trainer_id"]
             for n in range(10)]  # fmt: skip
    # 120 minutes are half of the small one's week, but a twentieth of the large one's.
    assert taken.count("small") <= 2
    assert taken.count("large") >= 4
    assert not await world.drifted()


async def test_capacity_is_exact(world: World) -> None:
    await world.trainer("small", weeklyCapacityMinutes=240)
    results = [await world.buy(f"order-{n}", student=f"student-{n}", timeSlot=f"{16 + n}:00") for n in range(3)]
    assert [result["status"] for result in results] == ["approved", "approved", "pending"]
    assert results[2]["filter"] == "capacity"
    assert await world.load("small") == 240


async def test_distance(world: World) -> None:
    await world.trainer("idle-far", **(TRAVELLING | {"location": ELEVEN_KM_AWAY}))
    await world.trainer("idle-online")
    assert (await world.buy("order-1", **IN_PERSON))["filter"] == "radius"
    await world.trainer("travels-further", **(TRAVELLING | {"location": ELEVEN_KM_AWAY, "travelRadiusKm": 12}))
    assert (await world.buy("order-2", student="student-2", **IN_PERSON))["trainer_id"] == "travels-further"


async def test_the_nearer_one_is_taken_within_a_quarter_of_load(world: World) -> None:
    await world.trainer("a-far", **(TRAVELLING | {"location": {"latitude": 13.03, "longitude": 77.59}}))
    await world.trainer("near", **TRAVELLING)
    assert (await world.buy("order-1", **IN_PERSON))["trainer_id"] == "near"


@pytest.mark.parametrize("longitude", [179.99, -179.99])
async def test_the_radius_crosses_the_180th_meridian(world: World, longitude: float) -> None:
    await world.trainer("beyond", **(TRAVELLING | {"location": {"latitude": -16.8, "longitude": -longitude}}))
    decision = await world.buy("order-1", mode="in_person", location={"latitude": -16.8, "longitude": longitude})
    assert decision["trainer_id"] == "beyond"


async def test_near_a_pole_every_longitude_is_near(world: World) -> None:
    await world.trainer("polar", **(TRAVELLING | {"location": {"latitude": 89.99, "longitude": 0}}))
    decision = await world.buy("order-1", mode="in_person", location={"latitude": 89.99, "longitude": 180})
    assert decision["trainer_id"] == "polar"


async def test_who_teaches_in_person_only_is_not_taken_online(world: World) -> None:
    await world.trainer("in-person", **(TRAVELLING | {"modes": ["in_person"]}))
    assert (await world.buy("order-1"))["filter"] == "specialty"


async def test_a_known_trainer_is_kept_and_a_flexible_one_spared(world: World) -> None:
    await world.trainer("specialist")
    await world.trainer("flexible", courses=[COURSE, *(f"course-1{n:03}" for n in range(9))])
    assert (await world.buy("order-1", student="new"))["trainer_id"] == "specialist"
    await world.buy("order-2", student="regular", course="course-1000", weekdays=[5])
    assert (await world.buy("order-3", student="regular", timeSlot="20:00"))["trainer_id"] == "flexible"


async def test_ties_are_broken_alike_each_time_but_not_for_everyone_alike(world: World) -> None:
    for number in range(10):
        await world.trainer(f"trainer-{number}")
    wishes = [await world.purchase(f"order-{n}", student=f"student-{n}") for n in range(12)]
    chosen = []
    for wish in wishes:
        transaction = world.connection.transaction()
        await transaction.start()
        first = (await world.assign(wish))["trainer_id"]
        await transaction.rollback()
        transaction = world.connection.transaction()
        await transaction.start()
        assert (await world.assign(wish))["trainer_id"] == first
        await transaction.rollback()
        chosen.append(first)
    assert len(set(chosen)) > 3


async def test_someone_on_the_last_page_of_a_popular_course_is_found(world: World) -> None:
    await world.connection.execute(
        """
        SELECT upsert_trainers((SELECT jsonb_agg(jsonb_build_object(
            'trainerId', 'monday-' || lpad(n::text, 5, '0'), 'name', 'M', 'active', true,
            'courses', jsonb_build_array($1::text), 'gender', NULL, 'modes', '["online"]'::jsonb,
            'timeZone', 'Asia/Kolkata', 'location', NULL, 'travelRadiusKm', NULL, 'weeklyCapacityMinutes', 600,
            'weeklySlots', '[{"weekday": 1, "from": "16:00", "to": "21:00"}]'::jsonb, 'languages', '[]'::jsonb,
            'timeOff', '[]'::jsonb)) FROM generate_series(1, 1500) AS n))
        """,
        COURSE,
    )
    await world.trainer("sunday", weeklySlots=[{"weekday": 7, "from": "18:00", "to": "19:00"}])
    assert (await world.buy("order-1", weekdays=[7]))["trainer_id"] == "sunday"
    assert (await world.buy("order-2", student="student-2", weekdays=[6]))["filter"] == "slot"
