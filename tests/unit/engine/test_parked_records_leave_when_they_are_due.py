import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.engine.parking import Parking, WaitingRoom, waiting_s
from services.engine.pauses import Pauses
from services.engine.records import Partition
from services.engine.retries import Ladder
from tests.support.deliveries import TOPICS, delivery


class Clock:
    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@given(st.lists(st.floats(0, 10), min_size=1, max_size=50))
def test_never_early_and_the_longest_due_first(waits_s: list[float]) -> None:
    clock = Clock()
    parking = Parking(clock=clock)
    for offset, wait_s in enumerate(waits_s):
        parking.park(delivery(offset=offset), wait_s)
    due_at = {offset: 1_000.0 + wait_s for offset, wait_s in enumerate(waits_s)}
    left = []
    while len(parking):
        next_due_in_s = parking.next_due_in_s()
        assert next_due_in_s is not None
        clock.now += next_due_in_s
        left += [released.record.offset for released in parking.release()]
        assert all(due_at[offset] <= clock.now for offset in left)
    assert [due_at[offset] for offset in left] == sorted(due_at.values())


@pytest.mark.parametrize(
    ("due_ms", "expected_s"),
    [
        (5_000, 0.0),
        (10_500, 0.5),
        # With its jitter, not without: else most records leave early.
        (12_199, 2.199),
        # A producer whose clock is an hour ahead cannot stall it.
        (3_610_000, 2.2),
    ],
)
def test_a_wait_is_never_longer_than_the_delay_with_jitter(due_ms: int, expected_s: float) -> None:
    assert waiting_s(due_ms=due_ms, now_ms=10_000, delay_s=2.0) == pytest.approx(expected_s)


@pytest.mark.parametrize("step_s", [-3600, 3600])
def test_a_step_of_the_wall_clock_neither_stalls_nor_hurries_a_retry(
    monkeypatch: pytest.MonkeyPatch, step_s: int
) -> None:
    parking = Parking()
    parking.park(delivery(), wait_s=300)
    stepped = time.time() + step_s
    monkeypatch.setattr(time, "time", lambda: stepped)
    next_due_in_s = parking.next_due_in_s()
    assert next_due_in_s is not None
    assert 200 < next_due_in_s <= 300
    assert parking.release() == []


def test_a_full_partition_is_held_back_until_half_has_left(clock: Clock) -> None:
    parking = Parking(records_max=10, clock=clock)
    for offset in range(11):
        parking.park(delivery(offset=offset), wait_s=offset)
    parking.park(delivery(partition=1), wait_s=100)
    place = delivery().record.place
    assert parking.crowded == {place}
    clock.now += 4
    assert len(parking.release()) == 5
    assert parking.crowded == {place}
    clock.now += 1
    parking.release()
    assert parking.crowded == frozenset()


def test_too_many_bytes_hold_everything_back_that_waits(clock: Clock) -> None:
    parking = Parking(bytes_max=100_000, clock=clock)
    parking.park(delivery(partition=1, size=60_000), wait_s=1)
    assert parking.crowded == frozenset()
    parking.park(delivery(partition=2, size=60_000), wait_s=2)
    assert {place[1] for place in parking.crowded} == {1, 2}
    clock.now += 1
    parking.release()
    assert {place[1] for place in parking.crowded} == {2}
    clock.now += 1
    parking.release()
    assert parking.crowded == frozenset()


def test_what_belongs_to_somebody_else_is_dropped(clock: Clock) -> None:
    parking = Parking(records_max=1, clock=clock)
    for offset in range(3):
        parking.park(delivery(offset=offset), wait_s=1)
    parking.park(delivery(partition=1), wait_s=1)
    parking.drop({delivery().record.place})
    assert parking.crowded == frozenset()
    clock.now += 1
    assert [left.record.partition for left in parking.release()] == [1]


def test_how_long_each_tier_is_overdue(clock: Clock) -> None:
    parking = Parking(clock=clock)
    parking.park(delivery(tier="2s"), wait_s=1)
    parking.park(delivery(tier="2s"), wait_s=3)
    parking.park(delivery(tier="4s"), wait_s=9)
    assert parking.overdue_s() == {}
    clock.now += 5
    assert parking.overdue_s() == {"2s": pytest.approx(4)}


def test_a_crowded_partition_that_leaves_is_not_held_back_when_it_returns() -> None:
    held: list[frozenset[Partition]] = []
    pauses = Pauses(lambda _reason, _standing: None)
    parking = Parking(records_max=1)
    room = WaitingRoom(parking, Ladder(TOPICS, "purchase-worker"), pauses, hold=held.append)
    for offset in range(3):
        room.put_back(delivery(offset=offset))
    assert held[-1] == {delivery().place}
    assert pauses.stands("backpressure")
    room.drop({delivery().place})
    assert held[-1] == frozenset()
    assert not pauses.stands("backpressure")
