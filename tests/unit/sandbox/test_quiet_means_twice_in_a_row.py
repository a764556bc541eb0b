from collections.abc import Awaitable, Callable, Mapping

from services.common.errors import DependencyError
from services.sandbox.demo.quiet import settle

Finding = Mapping[str, int] | Exception


def _looks(*findings: Finding) -> tuple[Callable[[], Awaitable[Mapping[str, int]]], list[Finding]]:
    """Finds these one after the other, then the last one for ever; also returns what is still to be found."""
    left = list(findings)

    async def look() -> Mapping[str, int]:
        finding = left.pop(0) if len(left) > 1 else left[0]
        if isinstance(finding, Exception):
            raise finding
        return finding

    return look, left


async def test_one_quiet_look_is_not_enough() -> None:
    look, left = _looks({"outbox": 0}, {"outbox": 2}, {"outbox": 0}, {"outbox": 0}, {"outbox": 7})
    assert await settle(look, within_s=30) == {}
    assert left == [{"outbox": 7}]


async def test_a_server_that_is_away_is_not_quiet() -> None:
    look, _ = _looks(DependencyError("away", dependency="kafka"), {"outbox": 0})
    assert await settle(look, within_s=30) == {}


async def test_what_does_not_end_is_named() -> None:
    look, _ = _looks({"outbox": 0, "notifier": 3})
    assert await settle(look, within_s=0) == {"notifier": 3}
