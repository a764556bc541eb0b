"""What the chaos tests do with a process that does not die as it should, or dies as it should not."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from tests.support.chaos.processes import UnexplainedError, crash, mend


class Puppet:
    """Dies in the round `dies_in`, of `cause`; never without one."""

    name, log = "notifier", Path("notifier.log")

    def __init__(self, *, dies_in: int | None, cause: str = "SIGKILL") -> None:
        self.runs: list[str] = []
        self.pid: int | None = 1
        self._left = dies_in
        self._cause = cause

    async def start(self, *, crash_point: str = "") -> None:
        self.runs.append(crash_point)
        self.pid = 1

    async def stop(self) -> None:
        self.pid = None

    async def kill(self) -> None:
        self.pid = None

    async def died(self, *, within_s: float) -> bool:
        assert within_s > 0
        if self._left is not None:
            self._left -= 1
        return self._left == 0

    def how_it_ended(self) -> str:
        return self._cause


async def crashed(puppet: Puppet) -> tuple[str, int]:
    """What was told, and how often work was caused."""
    caused = SimpleNamespace(times=0)

    async def cause_work() -> str:
        caused.times += 1
        return ""

    return await crash(cast("Any", puppet), "after-commit:2", cause_work), caused.times


async def test_it_gets_work_until_it_dies() -> None:
    puppet = Puppet(dies_in=3)
    assert await crashed(puppet) == ("after-commit:2 was hit, once work was caused 2 times", 2)
    assert puppet.runs == ["after-commit:2", ""]


@pytest.mark.parametrize(
    ("puppet", "told"),
    [
        (Puppet(dies_in=None), "never reached after-commit:2, though work was caused"),
        (Puppet(dies_in=1, cause="exit code 1"), "ended by itself on the way to after-commit:2: exit code 1"),
    ],
    ids=["never there", "of something else"],
)
async def test_what_no_crash_point_explains_is_told_and_it_runs_again(puppet: Puppet, told: str) -> None:
    with pytest.raises(UnexplainedError, match=told):
        await crashed(puppet)
    assert puppet.runs[-1] == ""
    assert puppet.pid is not None


async def test_one_that_had_ended_by_itself_is_told_and_runs_again() -> None:
    puppet = Puppet(dies_in=None, cause="exit code 1")
    assert await mend(cast("Any", puppet)) == ""
    await puppet.kill()
    with pytest.raises(UnexplainedError, match="had ended by itself: exit code 1"):
        await mend(cast("Any", puppet))
    assert puppet.pid is not None
