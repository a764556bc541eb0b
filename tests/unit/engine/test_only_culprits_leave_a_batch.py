import math
import random
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.common.errors import DependencyError, PermanentError, RecordError, TransientError
from services.engine.batches import Culprits
from services.engine.outcomes import Dead, Done, Outcome, Retry


class Table:
    """Commits all of a batch or nothing, as a transaction does."""

    def __init__(self, culprits: dict[int, RecordError]) -> None:
        self.culprits = culprits
        self.committed: list[int] = []
        self.transactions = 0
        self.tried = 0

    async def attempt(self, items: Sequence[int]) -> Sequence[Outcome]:
        self.transactions += 1
        self.tried += len(items)
        for item in items:
            if item in self.culprits:
                raise self.culprits[item]
        self.committed += items
        return [Done() for _ in items]


def nobody_named(_error: RecordError, _items: Sequence[int]) -> list[int]:
    return []


@given(st.integers(1, 200).flatmap(lambda n: st.tuples(st.just(n), st.sets(st.integers(0, n - 1), max_size=20))))
async def test_everybody_else_is_committed_exactly_once(case: tuple[int, set[int]]) -> None:
    size, culprits = case
    table = Table({item: TransientError("no") if item % 2 else PermanentError("never") for item in culprits})
    outcomes = await Culprits().single_out(range(size), table.attempt, nobody_named)
    assert sorted(table.committed) == sorted(set(range(size)) - culprits)
    for item, outcome in enumerate(outcomes):
        if item not in culprits:
            assert outcome == Done()
        else:
            assert isinstance(outcome, Retry if item % 2 else Dead)
            assert isinstance(outcome, Retry | Dead)
            assert outcome.error is table.culprits[item]


@given(st.integers(1, 500).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n - 1))))
async def test_one_culprit_costs_at_most_two_more_transactions_per_halving(case: tuple[int, int]) -> None:
    size, culprit = case
    table = Table({culprit: TransientError("no")})
    await Culprits().single_out(range(size), table.attempt, nobody_named)
    assert table.transactions <= 1 + 2 * math.ceil(math.log2(size))


@given(st.integers(1, 500), st.floats(0, 1), st.randoms(use_true_random=False))
async def test_many_culprits_cost_little_more_than_one_by_one(size: int, share: float, dice: random.Random) -> None:
    table = Table({item: TransientError("no") for item in range(size) if dice.random() < share})
    await Culprits().single_out(range(size), table.attempt, nobody_named)
    assert table.transactions <= 1.5 * size + 2 * math.ceil(math.log2(size)) + 1


async def test_when_all_fail_each_is_tried_once_and_few_together() -> None:
    table = Table({item: TransientError("no") for item in range(500)})
    await Culprits().single_out(range(500), table.attempt, nobody_named)
    assert table.transactions <= 500 + 2 * math.ceil(math.log2(500))


async def test_after_a_batch_with_some_the_next_is_tried_in_smaller_parts_until_one_has_none() -> None:
    culprits = Culprits()
    some: dict[int, RecordError] = {item: TransientError("no") for item in range(0, 500, 100)}
    costs = []
    batches: list[dict[int, RecordError]] = [some, some, {}, {}]
    for batch in batches:
        table = Table(batch)
        outcomes = await culprits.single_out(range(500), table.attempt, nobody_named)
        assert [item for item, outcome in enumerate(outcomes) if outcome != Done()] == list(batch)
        costs.append((table.transactions, table.tried))
    (first, first_tried), (second, second_tried), (third, _), (fourth, _) = costs
    assert second < first
    assert second_tried < 0.6 * first_tried
    assert (third, fourth) == (8, 1)


async def test_an_error_that_does_not_come_again_blames_nobody() -> None:
    """As a deadlock between two batches."""
    table = Table({})
    failures = iter([TransientError("deadlock")])

    async def attempt(items: Sequence[int]) -> Sequence[Outcome]:
        for error in failures:
            raise error
        return await table.attempt(items)

    assert await Culprits().single_out(range(500), attempt, nobody_named) == [Done()] * 500
    assert sorted(table.committed) == list(range(500))
    assert table.transactions <= 2 * math.ceil(math.log2(500))


async def test_a_dependency_that_is_away_is_nobodys_fault() -> None:
    table = Table({7: DependencyError("away", dependency="postgresql")})
    with pytest.raises(DependencyError):
        await Culprits().single_out(range(100), table.attempt, nobody_named)
    assert table.transactions == 1


def named_in_words(error: RecordError, items: Sequence[int]) -> list[int]:
    return [item for item in items if str(item) in str(error).split()]


async def test_a_culprit_that_the_error_names_costs_two_more_transactions() -> None:
    table = Table({item: PermanentError(f"row {item} fails") for item in (3, 77, 250, 401)})
    outcomes = await Culprits().single_out(range(500), table.attempt, named_in_words)
    assert [item for item, outcome in enumerate(outcomes) if isinstance(outcome, Dead)] == [3, 77, 250, 401]
    assert sorted(table.committed) == [item for item in range(500) if item not in table.culprits]
    assert table.transactions == 1 + 2 * 4


async def test_culprits_that_are_named_do_not_make_the_next_batch_smaller() -> None:
    culprits = Culprits()
    await culprits.single_out(range(500), Table({9: TransientError("row 9")}).attempt, named_in_words)
    table = Table({})
    await culprits.single_out(range(500), table.attempt, named_in_words)
    assert table.transactions == 1


@given(
    st.integers(1, 300).flatmap(
        lambda n: st.tuples(
            st.just(n),
            st.dictionaries(st.integers(0, n - 1), st.lists(st.integers(0, n - 1), max_size=40), max_size=20),
        )
    )
)
async def test_an_error_that_names_others_convicts_nobody_else(case: tuple[int, dict[int, list[int]]]) -> None:
    size, accused = case
    table = Table({item: TransientError(" ".join(map(str, others))) for item, others in accused.items()})
    outcomes = await Culprits().single_out(range(size), table.attempt, named_in_words)
    assert [item for item, outcome in enumerate(outcomes) if outcome != Done()] == sorted(accused)
    assert sorted(table.committed) == sorted(set(range(size)) - set(accused))
    assert table.transactions <= 2 * size + 2 * math.ceil(math.log2(size)) + 1
