from hypothesis import given
from hypothesis import strategies as st

from services.engine.watermark import Watermark


@given(st.lists(st.integers(0, 500), min_size=1, unique=True).map(sorted), st.randoms())
def test_in_any_order_of_finishing(offsets: list[int], chance: object) -> None:
    watermark = Watermark()
    for offset in offsets:
        watermark.track(offset)
    unfinished = set(offsets)
    order = offsets.copy()
    chance.shuffle(order)  # type: ignore[attr-defined]
    for offset in order:
        watermark.finish(offset)
        unfinished.discard(offset)
        assert watermark.position == min(unfinished, default=offsets[-1] + 1)


def test_nothing_tracked_is_nothing_to_commit() -> None:
    assert Watermark().position is None


def test_a_log_that_was_cut_off_is_counted_anew() -> None:
    watermark = Watermark()
    for offset in (100, 101):
        watermark.track(offset)
    watermark.track(0)
    watermark.finish(100)
    assert watermark.position == 0
    watermark.finish(0)
    assert watermark.position == 1


def test_an_offset_in_flight_from_before_and_after_the_cut_is_finished_when_both_are() -> None:
    watermark = Watermark()
    for offset in (100, 101, 102, 100, 101):
        watermark.track(offset)
    watermark.finish(100)
    watermark.finish(101)
    assert watermark.position == 100
    watermark.finish(100)
    assert watermark.position == 101
    watermark.finish(101)
    assert watermark.position == 102
