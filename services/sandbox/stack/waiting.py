"""Waiting for a condition with a deadline, in blocking code."""

from collections.abc import Callable

from tenacity import RetryError, Retrying, retry_if_result, stop_after_delay, wait_fixed

_LOOK_S = 0.05


def wait_until(condition: Callable[[], bool], *, within_s: float) -> bool:
    """Whether the condition held within that time. It is asked at least once."""
    tries = Retrying(
        retry=retry_if_result(lambda held: not held), stop=stop_after_delay(within_s), wait=wait_fixed(_LOOK_S)
    )
    try:
        return bool(tries(condition))
    except RetryError:
        return False
