"""Some blocks of `make fuzz`, and that it would see a fault."""

from random import Random

import pytest

from services.gateway_api.providers.verified import Proof, check_hmac
from tests.fuzz.blocks import BLOCK_MUTANTS, Block, run_block
from tests.fuzz.targets import TARGETS
from tests.support.payment_providers import hmac_hex

# What comes out of each: a target that accepts nothing, or everything, would be a test of nothing.
BOTH = {"events", "razorpay-callbacks", "forged-webhooks", "bodies"}


@pytest.mark.parametrize("target", TARGETS)
def test_mutants_are_refused_in_the_documented_way_or_accepted_rightly(target: str) -> None:
    counted = [run_block(Block(seed=1, target=target, number=number)) for number in range(4)]
    assert [one.fault for one in counted] == [None] * 4
    accepted = sum(one.accepted for one in counted)
    assert 0 < accepted < 4 * BLOCK_MUTANTS if target in BOTH else accepted == 4 * BLOCK_MUTANTS


def test_a_fault_is_told_with_the_way_to_see_it_again(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(random: Random) -> bool:
        if random.random() < 0.01:
            raise KeyError("amount")
        return True

    monkeypatch.setitem(TARGETS, "events", fail)
    counted = run_block(Block(seed=7, target="events", number=3))
    assert counted.fault == "KeyError: 'amount'"
    assert counted.block.repeated_by == "python -m tests.fuzz --seed 7 --target events --block 3"
    assert run_block(counted.block).accepted == counted.accepted


def test_a_webhook_that_any_signature_opens_is_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    def believe(_secrets: object, _message: bytes, _signature: object, *, how: str) -> Proof:
        return check_hmac((b"secret",), b"", hmac_hex(b"secret", b""), how=how)

    monkeypatch.setattr("services.gateway_api.providers.razorpay.check_hmac", believe)
    assert run_block(Block(seed=1, target="forged-webhooks", number=0)).fault == "AssertionError: "


def test_a_mutant_that_hangs_is_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    def hang(_random: Random) -> bool:
        while True:
            pass

    monkeypatch.setattr("tests.fuzz.blocks._MUTANT_S_MAX", 0.2)
    monkeypatch.setitem(TARGETS, "events", hang)
    assert run_block(Block(seed=1, target="events", number=0)).fault == "HangError: "
