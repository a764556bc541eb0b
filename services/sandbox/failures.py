"""What fails on purpose, and how often. Everything works unless somebody asks otherwise."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Annotated, Literal

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Rate = Annotated[float, Field(ge=0, le=1)]
Target = Literal["provider", "course", "push"]


class _Options(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, alias_generator=to_camel, populate_by_name=True)


class CallFailures(_Options):
    """Of the calls to one simulator: the share answered with 503, and the share answered `slow_s` seconds late."""

    error_rate: Rate = 0
    slow_rate: Rate = 0
    slow_s: Annotated[float, Field(ge=0, le=120)] = 5


class WebhookFailures(_Options):
    """Of the webhooks: the share sent twice, the share never sent, and the share that waits up to `late_s` seconds, so
    that later ones overtake it.
    """

    twice_rate: Rate = 0
    lost_rate: Rate = 0
    late_rate: Rate = 0
    late_s: Annotated[float, Field(ge=0, le=3600)] = 5


class Failures(_Options):
    provider: CallFailures = CallFailures()
    course: CallFailures = CallFailures()
    push: CallFailures = CallFailures()
    webhook: WebhookFailures = WebhookFailures()


class FailureInjector:
    """Throws the dice for one sandbox, repeatable for a seed and an order of calls. `options` may be replaced."""

    def __init__(self, options: Failures, *, seed: int) -> None:
        self.options = options
        self.errors_injected: dict[Target, int] = {"provider": 0, "course": 0, "push": 0}
        self._random = random.Random(seed)  # noqa: S311 - repeatable failures, no secret

    def happens(self, rate: float) -> bool:
        return rate > 0 and self._random.random() < rate

    def delay_s(self) -> float:
        """Of one webhook."""
        options = self.options.webhook
        return self._random.uniform(0, options.late_s) if self.happens(options.late_rate) else 0.0

    def wrap(self, target: Target, handler: Handler) -> Handler:
        """`handler` with the failures of `target`.

        Half of the errors come after the work was done, as when an answer is lost on its way: only callers that
        repeat with the same idempotency key get those right.
        """

        async def failing(request: web.Request) -> web.StreamResponse:
            options: CallFailures = getattr(self.options, target)
            if self.happens(options.slow_rate):
                await asyncio.sleep(options.slow_s)
            if not self.happens(options.error_rate):
                return await handler(request)
            self.errors_injected[target] += 1
            if self.happens(0.5):
                await handler(request)
            return web.json_response({"error": "injected"}, status=503)

        return failing
