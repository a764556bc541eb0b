"""Trying again what lost a race: the index of dead letters and the sweeps write the same rows as a run does, so a step
may meet a deadlock or a lock timeout. Nothing was committed then, and a step that runs again changes nothing twice.
"""

from collections.abc import Awaitable, Callable
from typing import TypeVar

from tenacity import AsyncRetrying, retry_if_exception_type, stop_after_attempt, wait_random

from services.common.errors import TransientError

_TRIES = 15
T = TypeVar("T")


async def steadily(step: Callable[[], Awaitable[T]]) -> T:
    """Raises what the last try raised. Only TransientError is tried again."""
    retrying = AsyncRetrying(
        retry=retry_if_exception_type(TransientError),
        stop=stop_after_attempt(_TRIES),
        wait=wait_random(0.05, 0.3),
        reraise=True,
    )
    return await retrying(step)
