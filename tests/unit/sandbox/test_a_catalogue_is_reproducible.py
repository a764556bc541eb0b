from collections import Counter
from datetime import date
from itertools import islice

from services.common.validation import is_id, is_time_slot
from services.sandbox.catalogue import TIERS, build_catalogue
from services.sandbox.demand import wishes

TODAY = date(2026, 11, 24)


def test_the_same_seed_makes_the_same_world() -> None:
    first = build_catalogue(courses=20, trainers=100, seed=7)
    assert build_catalogue(courses=20, trainers=100, seed=7) == first
    assert build_catalogue(courses=20, trainers=100, seed=8) != first
    demand = list(islice(wishes(courses=20, seed=7, today=TODAY), 50))
    assert list(islice(wishes(courses=20, seed=7, today=TODAY), 50)) == demand


def test_ids_and_counts_are_those_of_the_contract() -> None:
    catalogue = build_catalogue(courses=3, trainers=12, seed=1)
    assert catalogue.courses == ("course-0001", "course-0002", "course-0003")
    assert [trainer.trainer_id for trainer in catalogue.trainers][:2] == ["trainer-00001", "trainer-00002"]
    assert {(price.course_id, price.purchase_tier) for price in catalogue.prices} == {
        (course, tier) for course in catalogue.courses for tier in TIERS
    }
    assert all(is_id(trainer.trainer_id) for trainer in catalogue.trainers)
    assert all(is_time_slot(slot.starts) for trainer in catalogue.trainers for slot in trainer.weekly_slots)


def test_prices_are_whole_minor_units_and_an_hour_gets_cheaper() -> None:
    prices = {
        (p.course_id, p.purchase_tier): p.amount_minor for p in build_catalogue(courses=9, trainers=1, seed=3).prices
    }
    for course in {course for course, _ in prices}:
        hours = [prices[course, tier] / tier for tier in TIERS]
        assert hours == sorted(hours, reverse=True)
        assert 360_00 <= min(hours) <= max(hours) <= 900_00


def test_a_starved_course_has_prices_and_no_trainer() -> None:
    catalogue = build_catalogue(courses=5, trainers=200, seed=1, starved_courses=1)
    taught = {course for trainer in catalogue.trainers for course in trainer.courses}
    assert taught == set(catalogue.courses[:4])
    assert any(price.course_id == "course-0005" for price in catalogue.prices)


def test_supply_follows_demand() -> None:
    """Each course gets hours of work within a factor of three of the hours that students ask of it."""
    catalogue = build_catalogue(courses=20, trainers=300, seed=5)
    supply: Counter[str] = Counter()
    for trainer in catalogue.trainers:
        for course in trainer.courses:
            supply[course] += trainer.weekly_capacity_minutes // len(trainer.courses)
    demand: Counter[str] = Counter()
    for wish in islice(wishes(courses=20, seed=5, today=TODAY), 5000):
        demand[wish.course_id] += len(wish.schedule["weekdays"]) * wish.schedule["durationMinutes"]
    per_unit = [supply[course] / demand[course] for course in catalogue.courses]
    assert max(per_unit) < 3 * min(per_unit)


def test_wanted_times_lie_in_working_hours() -> None:
    catalogue = build_catalogue(courses=20, trainers=100, seed=5)
    hours = {(slot.weekday, slot.starts, slot.ends) for trainer in catalogue.trainers for slot in trainer.weekly_slots}
    for wish in islice(wishes(courses=20, seed=5, today=TODAY), 500):
        time_slot = wish.schedule["timeSlot"]
        for weekday in wish.schedule["weekdays"]:
            assert any(day == weekday and starts <= time_slot < ends for day, starts, ends in hours)
