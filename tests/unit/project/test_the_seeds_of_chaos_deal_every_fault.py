from pathlib import Path

import pytest

from tests.support.chaos.deck import CARDS, FAULTS, Card, deal, seeds_for_all

ENGINE = Path(__file__).parents[3] / "docs" / "engine.md"


@pytest.mark.parametrize("first", [1, 16])
def test_as_many_seeds_as_the_document_says_deal_every_card(first: int) -> None:
    last = first + seeds_for_all(FAULTS) - 1
    assert f"{first} to {last}" in ENGINE.read_text()
    assert {fault.card for seed in range(first, last + 1) for fault in deal(seed, faults=FAULTS)} == set(CARDS)


@pytest.mark.parametrize("service", ["push", "course"])
@pytest.mark.parametrize("how", ["dead", "slow"])
def test_each_outside_service_is_dead_and_slow(service: str, how: str) -> None:
    assert Card("outside", service, how) in CARDS
