"""What is left of a purchase after its payment changed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.common.errors import PermanentError
from services.common.validation import PAYMENT_STATUSES
from services.purchase_worker.terms import purchase_status_of, sessions_left


@pytest.mark.parametrize(
    ("tier", "amount", "refunded", "left"),
    [
        (10, 500_000, 0, 10),
        (10, 500_000, 250_000, 5),
        (10, 500_000, 1, 10),
        (10, 500_000, 499_999, 1),
        (10, 500_000, 500_000, 0),
        (10, 500_000, 600_000, 0),
        (30, 1_000_000, 333_333, 21),
        (20, 0, 0, 20),
    ],
)
def test_the_paid_share_of_the_tier_is_rounded_up(tier: int, amount: int, refunded: int, left: int) -> None:
    assert sessions_left(tier, "active", amount_minor=amount, refunded_minor=refunded) == left


@pytest.mark.parametrize("refunded", [0, 200_000, 500_000])
def test_nothing_is_left_of_a_revoked_purchase_however_its_money_went_back(refunded: int) -> None:
    assert sessions_left(10, "revoked", amount_minor=500_000, refunded_minor=refunded) == 0


@given(
    tier=st.sampled_from([10, 20, 30]),
    amount=st.integers(1, 10**15),
    first=st.integers(0, 10**15),
    second=st.integers(0, 10**15),
)
def test_more_refunded_never_leaves_more(tier: int, amount: int, first: int, second: int) -> None:
    less, more = sorted((first, second))
    kept = sessions_left(tier, "active", amount_minor=amount, refunded_minor=less)
    assert 0 <= sessions_left(tier, "active", amount_minor=amount, refunded_minor=more) <= kept <= tier


@pytest.mark.parametrize(
    ("payment", "purchase"),
    [
        ("succeeded", "active"),
        ("partially_refunded", "active"),
        ("refunded", "revoked"),
        ("charged_back", "revoked"),
        ("disputed", "frozen"),
        ("review", "frozen"),
    ],
)
def test_each_status_of_a_succeeded_payment_has_a_meaning(payment: str, purchase: str) -> None:
    assert purchase_status_of(payment) == purchase


def test_a_payment_that_never_succeeded_changes_no_purchase() -> None:
    impossible = PAYMENT_STATUSES - {
        "succeeded", "partially_refunded", "refunded", "charged_back", "disputed", "review",
    }  # fmt: skip
    assert impossible == {"created", "failed"}
    for status in impossible:
        with pytest.raises(PermanentError, match=status):
            purchase_status_of(status)
