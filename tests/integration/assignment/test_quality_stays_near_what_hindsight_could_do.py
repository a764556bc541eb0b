"""A fixed world of 120 trainers and 480 students who come one by one, beside the most that hindsight could serve."""

import pytest

from bench.assignment_quality import serve_world


@pytest.mark.parametrize(("mode", "share_min"), [("online", 0.96), ("in_person", 0.93)])
async def test_the_balanced_world(database_url: str, mode: str, share_min: float) -> None:
    quality = await serve_world(database_url, mode=mode, supply="balanced", seed=1)
    assert quality.share >= share_min, quality
    assert quality.jain >= 0.80, quality
    # Else the world would be so kind that the figures above meant nothing.
    assert quality.by_chance < quality.served, quality
    # What is counted as missed is never less than what hindsight would have served more.
    assert quality.missed >= quality.optimum - quality.served, quality
