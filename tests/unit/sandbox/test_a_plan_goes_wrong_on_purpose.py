from datetime import date

import pytest

from services.sandbox.demo.plan import make_plan

TODAY = date(2026, 11, 24)


def test_the_shares_are_those_of_the_ledger_that_people_read() -> None:
    plan = make_plan(payments=500, rate=25, seed=1, today=TODAY)
    journeys = plan.journeys
    assert len(journeys) == 500
    assert plan.duration_s == 20
    assert sum(journey.twice for journey in journeys) == 25
    assert sum(journey.forged for journey in journeys) == 10
    assert sum(journey.failure == "once" for journey in journeys) == 15
    assert sum(journey.failure == "always" for journey in journeys) == 5
    assert sum(journey.wish.course_id == "course-0020" for journey in journeys) == 10
    assert 200 < sum(journey.as_form for journey in journeys) < 300


def test_the_same_seed_plans_the_same_demo() -> None:
    assert make_plan(payments=50, rate=25, seed=3, today=TODAY) == make_plan(payments=50, rate=25, seed=3, today=TODAY)
    assert make_plan(payments=50, rate=25, seed=3, today=TODAY) != make_plan(payments=50, rate=25, seed=4, today=TODAY)


@pytest.mark.parametrize("payments", [1, 9, 40])
def test_a_small_demo_is_possible(payments: int) -> None:
    journeys = make_plan(payments=payments, rate=10, seed=1, today=TODAY).journeys
    assert len(journeys) == payments
    if payments >= 40:
        assert {journey.failure for journey in journeys} == {None, "once", "always"}


def test_payments_start_at_a_steady_rate() -> None:
    journeys = make_plan(payments=100, rate=50, seed=1, today=TODAY).journeys
    assert [journey.starts_s for journey in journeys] == [number / 50 for number in range(100)]
