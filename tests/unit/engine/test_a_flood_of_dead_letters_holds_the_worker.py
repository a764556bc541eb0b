from hypothesis import given
from hypothesis import strategies as st

from services.engine.guard import Fate, FloodGuard


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def guard_at(clock: Clock) -> FloodGuard:
    return FloodGuard(enabled=True, clock=clock)


def tripped_at(clock: Clock) -> FloodGuard:
    guard = guard_at(clock)
    for _ in range(50):
        guard.admits(Fate.EXHAUSTED)
    assert guard.tripped
    return guard


def test_fifty_in_a_row_trip_it() -> None:
    guard = guard_at(Clock())
    assert all(guard.admits(Fate.REFUSED) for _ in range(49))
    assert not guard.tripped
    guard.admits(Fate.REFUSED)
    assert guard.tripped


def test_more_than_a_fifth_of_a_full_window_trips_it() -> None:
    guard = guard_at(Clock())
    fates = [Fate.REFUSED if number % 4 == 0 else Fate.FINISHED for number in range(200)]
    for fate in fates[:199]:
        assert guard.admits(fate)
        assert not guard.tripped
    guard.admits(fates[199])
    assert guard.tripped


def test_a_fifth_is_not_more_than_a_fifth() -> None:
    guard = guard_at(Clock())
    for number in range(1_000):
        guard.admits(Fate.REFUSED if number % 5 == 0 else Fate.FINISHED)
    assert not guard.tripped


def test_retries_are_no_dead_letters() -> None:
    guard = guard_at(Clock())
    assert all(guard.admits(Fate.RETRIED) for _ in range(1_000))
    assert not guard.tripped


def test_the_record_that_trips_it_is_held_when_its_retries_are_used_up() -> None:
    guard = guard_at(Clock())
    admitted = [guard.admits(Fate.EXHAUSTED) for _ in range(60)]
    assert admitted == [True] * 49 + [False] * 11


def test_nothing_is_tried_for_the_pause_and_then_one_record_a_second() -> None:
    clock = Clock()
    guard = tripped_at(clock)
    assert guard.wait_s() == 30
    clock.now = 30
    assert guard.wait_s() == 0
    guard.tried()
    assert guard.wait_s() == 1


def test_a_record_wrong_in_itself_still_leaves_when_it_is_tried() -> None:
    clock = Clock()
    guard = tripped_at(clock)
    assert not guard.admits(Fate.REFUSED)
    clock.now = 30
    guard.tried()
    assert guard.admits(Fate.REFUSED)
    assert not guard.admits(Fate.EXHAUSTED)
    assert guard.tripped


def test_a_success_of_the_batch_that_tripped_it_ends_nothing() -> None:
    guard = tripped_at(Clock())
    assert guard.admits(Fate.FINISHED)
    assert guard.tripped


def test_a_try_that_succeeds_ends_it() -> None:
    clock = Clock()
    guard = tripped_at(clock)
    clock.now = 30
    guard.tried()
    assert guard.admits(Fate.FINISHED)
    assert not guard.tripped
    assert guard.wait_s() == 0
    assert guard.admits(Fate.EXHAUSTED)


def test_switched_off_it_holds_nothing() -> None:
    guard = FloodGuard(enabled=False)
    assert all(guard.admits(Fate.REFUSED) for _ in range(1_000))


@given(st.lists(st.one_of(st.integers(1, 500), st.sampled_from([Fate.REFUSED, Fate.RETRIED])), max_size=120))
def test_a_batch_without_dead_letters_counts_as_its_records_would(story: list[int | Fate]) -> None:
    one_by_one, at_once = guard_at(Clock()), guard_at(Clock())
    for event in story:
        if isinstance(event, Fate):
            assert one_by_one.admits(event) == at_once.admits(event)
            continue
        assert all(one_by_one.admits(Fate.FINISHED) for _ in range(event))
        assert at_once.all_finished(event) or all(at_once.admits(Fate.FINISHED) for _ in range(event))
    assert one_by_one.tripped == at_once.tripped
    # What comes next is judged alike, too.
    for _ in range(60):
        assert one_by_one.admits(Fate.REFUSED) == at_once.admits(Fate.REFUSED)
