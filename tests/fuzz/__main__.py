"""`make fuzz`: millions of mutants against everything that reads bytes from outside.

`python -m tests.fuzz --mutants 10000000`, or one block again: `--seed 7 --target events --block 12`. Ends with 1 when a
fault was found, and says how to see it again.
"""

import argparse
import os
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from math import ceil

from tests.fuzz.blocks import BLOCK_MUTANTS, Block, Counted, run_block
from tests.fuzz.targets import TARGETS

_FAULTS_SHOWN = 20
_PROGRESS_S = 10.0


def main() -> int:
    options = _options()
    if options.block is not None:
        counted = run_block(Block(seed=options.seed, target=options.target[0], number=options.block))
        _say(counted.fault or f"no fault, {counted.accepted} of {BLOCK_MUTANTS} accepted")
        return 1 if counted.fault else 0
    blocks = [
        Block(seed=options.seed, target=target, number=number)
        for number in range(ceil(options.mutants / BLOCK_MUTANTS / len(options.target)))
        for target in options.target
    ]
    _say(f"seed {options.seed}: {len(blocks) * BLOCK_MUTANTS:,} mutants, {options.jobs} processes")
    accepted, tried, faults = Counter[str](), Counter[str](), 0
    began = time.monotonic()
    for counted in _counted(blocks, options.jobs):
        tried[counted.block.target] += BLOCK_MUTANTS
        accepted[counted.block.target] += counted.accepted
        if counted.fault is not None:
            faults += 1
            if faults <= _FAULTS_SHOWN:
                _say(f"{counted.block.target}: {counted.fault}\n  {counted.block.repeated_by}")
    took_s = time.monotonic() - began
    for target in options.target:
        _say(f"{target:20} {tried[target]:>12,} mutants, {accepted[target]:>10,} accepted")
    _say(f"{tried.total():,} mutants in {took_s:,.0f} s ({tried.total() / took_s:,.0f}/s), {faults} blocks with faults")
    return 1 if faults else 0


def _counted(blocks: list[Block], jobs: int) -> Iterator[Counted]:
    said = time.monotonic()
    with ProcessPoolExecutor(jobs) as pool:
        for number, counted in enumerate(pool.map(run_block, blocks, chunksize=4), start=1):
            if time.monotonic() - said > _PROGRESS_S:
                said = time.monotonic()
                _say(f"{number * BLOCK_MUTANTS:,} mutants")
            yield counted


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz")
    parser.add_argument("--mutants", type=int, default=10_000_000)
    parser.add_argument("--seed", type=int, default=time.time_ns() % 1_000_000)
    parser.add_argument("--target", action="append", choices=TARGETS, help="may be given several times; default: all")
    parser.add_argument("--block", type=int, help="this block of --target again")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    options = parser.parse_args()
    if options.block is not None and len(options.target or ()) != 1:
        parser.error("--block wants one --target")
    options.target = options.target or list(TARGETS)
    return options


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
