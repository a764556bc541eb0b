"""Mutants in blocks of a thousand. Seed, target and number make a block again, so that a fault can be repeated."""

import signal
import time
from dataclasses import dataclass
from random import Random
from types import FrameType

from tests.fuzz.targets import TARGETS

BLOCK_MUTANTS = 1000
# Of one mutant, far above the fraction of a millisecond that it takes.
_MUTANT_S_MAX = 2.0


class HangError(Exception):
    """One mutant took too long."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    seed: int
    target: str
    number: int

    @property
    def repeated_by(self) -> str:
        return f"python -m tests.fuzz --seed {self.seed} --target {self.target} --block {self.number}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Counted:
    """`accepted`: of its mutants. `fault`: None when there was none."""

    block: Block
    accepted: int
    fault: str | None
    seconds: float


def run_block(block: Block) -> Counted:
    """In the main thread of its process: a hang is ended by a signal."""
    random, accept, accepted = Random(f"{block.seed} {block.target} {block.number}"), TARGETS[block.target], 0
    began = time.perf_counter()
    signal.signal(signal.SIGALRM, _give_up)
    fault = None
    try:
        for _ in range(BLOCK_MUTANTS):
            signal.setitimer(signal.ITIMER_REAL, _MUTANT_S_MAX)
            accepted += accept(random)
    except Exception as error:  # noqa: BLE001 - whatever it is, it is what is looked for
        fault = f"{type(error).__name__}: {error}"[:500]
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
    return Counted(block=block, accepted=accepted, fault=fault, seconds=time.perf_counter() - began)


def _give_up(_number: int, _frame: FrameType | None) -> None:
    raise HangError
