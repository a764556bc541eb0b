import pytest

from services.operations.replay.fates import Seen
from services.operations.replay.guards import GuardTrippedError, StopOn, check_canary, parse_stop_on
from services.operations.replay.refusals import BadFilterError


@pytest.mark.parametrize(
    ("text", "quiet", "loud"),
    [
        ("back-in-dlq=3", Seen(back_in_dlq=2), Seen(back_in_dlq=3)),
        ("dlq-growth=10", Seen(growth=9), Seen(growth=10)),
        ("error-rate=5%", Seen(done=96, back_in_dlq=4), Seen(done=95, back_in_dlq=5)),
        ("error-rate=50%", Seen(done=0, back_in_dlq=19), Seen(done=0, back_in_dlq=20)),
    ],
)
def test_at_the_limit_and_not_before(text: str, quiet: Seen, loud: Seen) -> None:
    guard = parse_stop_on(text)
    guard.check(quiet)
    with pytest.raises(GuardTrippedError, match=guard.measure):
        guard.check(loud)


@pytest.mark.parametrize("text", ["", "back-in-dlq", "back-in-dlq=0", "error-rate=5", "dlq-growth=5%", "mood=3"])
def test_what_is_no_guard_is_refused(text: str) -> None:
    with pytest.raises(BadFilterError):
        parse_stop_on(text)


def test_a_canary_is_good_when_all_are_done() -> None:
    assert check_canary(Seen(done=3), within_s=60, time_is_up=False)
    assert not check_canary(Seen(done=2, pending=1), within_s=60, time_is_up=False)


def test_one_that_comes_back_is_enough() -> None:
    with pytest.raises(GuardTrippedError):
        check_canary(Seen(done=9, back_in_dlq=1), within_s=60, time_is_up=False)


def test_one_that_is_never_done_is_not_good() -> None:
    with pytest.raises(GuardTrippedError, match="60 s"):
        check_canary(Seen(done=2, pending=1), within_s=60, time_is_up=True)


def test_where_no_table_tells_time_does() -> None:
    assert not check_canary(Seen(unknown=1), within_s=60, time_is_up=False)
    assert check_canary(Seen(unknown=1), within_s=60, time_is_up=True)


def test_a_guard_says_what_it_is() -> None:
    assert parse_stop_on(" error-rate=2.5% ") == StopOn(measure="error-rate", limit=2.5)
