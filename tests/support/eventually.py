"""Waiting in tests: poll a condition until it holds or a deadline passes."""

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar, overload

T = TypeVar("T")


@overload
async def eventually(condition: Callable[[], Awaitable[T]], *, within_s: float = 20.0, every_s: float = 0.05) -> T: ...


@overload
async def eventually(condition: Callable[[], T], *, within_s: float = 20.0, every_s: float = 0.05) -> T: ...


async def eventually(condition: Callable[[], T | Awaitable[T]], *, within_s: float = 20.0, every_s: float = 0.05) -> T:
    """Returns the first truthy value of `condition()`, which may be async.

    An AssertionError inside it counts as "not yet". Raises AssertionError with the last value or error after
    `within_s` seconds.
    """
    deadline = time.monotonic() + within_s
    last: object = None
    while True:
        try:
            value = condition()
            result = await value if inspect.isawaitable(value) else value
            if result:
                return result
            last = result
        except AssertionError as error:
            last = error
        if time.monotonic() > deadline:
            source = inspect.getsource(getattr(condition, "func", condition)).strip()
            raise AssertionError(f"not within {within_s} s: {source} -> {last!r}")
        await asyncio.sleep(every_s)
