"""How long the demo and its students wait for a server that is away: tests stop servers on purpose."""

from collections.abc import Awaitable, Callable
from typing import ParamSpec, TypeVar

from tenacity import retry, retry_if_exception_type, stop_after_delay, wait_fixed

from services.common.errors import DependencyError

PATIENCE_S = 90.0
_AGAIN_AFTER_S = 0.5
P = ParamSpec("P")
T = TypeVar("T")


def patiently(call: Callable[P, Awaitable[T]]) -> Callable[P, Awaitable[T]]:
    """`call`, repeated while a dependency is away. Raises the last DependencyError after PATIENCE_S."""
    return retry(
        retry=retry_if_exception_type(DependencyError),
        stop=stop_after_delay(PATIENCE_S),
        wait=wait_fixed(_AGAIN_AFTER_S),
        reraise=True,
    )(call)
