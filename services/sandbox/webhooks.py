"""Webhooks out of the simulated providers: signed once, repeated with growing waits until a 2xx, like the real ones."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

import aiohttp
import structlog

from services.sandbox.failures import FailureInjector
from services.sandbox.limits import (
    WEBHOOK_CALL_S,
    WEBHOOK_FIRST_WAIT_S,
    WEBHOOK_TRIES_MAX,
    WEBHOOK_WAIT_MAX_S,
    WEBHOOKS_IN_FLIGHT_MAX,
    WEBHOOKS_REMEMBERED_MAX,
    WEBHOOKS_WAITING_MAX,
)

log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class Webhook:
    """`body` is what was signed; it goes out byte for byte. `delay_s`: wait before the first try."""

    url: str
    body: bytes
    headers: Mapping[str, str]
    delay_s: float = 0.0


class WebhookSender:
    """Construct with `open_webhook_sender()`. One task per webhook: they are independent and arrive in any order."""

    def __init__(self, http: aiohttp.ClientSession, failures: FailureInjector) -> None:
        self._http = http
        self._failures = failures
        self._in_flight = asyncio.Semaphore(WEBHOOKS_IN_FLIGHT_MAX)
        self._tasks: set[asyncio.Task[None]] = set()
        self._sent = deque[Webhook](maxlen=WEBHOOKS_REMEMBERED_MAX)
        self.delivered = 0
        self.given_up = 0
        self.dropped = 0

    @property
    def waiting(self) -> int:
        """Webhooks that nobody has accepted yet."""
        return len(self._tasks)

    def send(self, webhook: Webhook) -> None:
        """Returns at once. Above the limit of waiting ones it is dropped and counted: the real ones promise no more."""
        self._sent.append(webhook)
        options = self._failures.options.webhook
        if self._failures.happens(options.lost_rate):
            self.dropped += 1
            return
        copies = 2 if self._failures.happens(options.twice_rate) else 1
        for _ in range(copies):
            if len(self._tasks) >= WEBHOOKS_WAITING_MAX:
                self.dropped += 1
                continue
            self._begin(replace(webhook, delay_s=webhook.delay_s + self._failures.delay_s()))

    def replay(self) -> int:
        """Sends the newest ones again, byte for byte, those that were lost too; how many."""
        again = list(self._sent)[-WEBHOOKS_WAITING_MAX + self.waiting :]
        for webhook in again:
            self._begin(replace(webhook, delay_s=0.0))
        return len(again)

    async def close(self) -> None:
        """Undelivered ones are given up: a sandbox that stops is no provider that waits 24 h."""
        tasks = tuple(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _begin(self, webhook: Webhook) -> None:
        task = asyncio.create_task(self._deliver(webhook))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _deliver(self, webhook: Webhook) -> None:
        await asyncio.sleep(webhook.delay_s)
        wait_s = WEBHOOK_FIRST_WAIT_S
        for _ in range(WEBHOOK_TRIES_MAX):
            async with self._in_flight:
                if await self._accepted(webhook):
                    self.delivered += 1
                    return
            await asyncio.sleep(wait_s)
            wait_s = min(2 * wait_s, WEBHOOK_WAIT_MAX_S)
        self.given_up += 1
        log.warning("webhook_given_up", address=webhook.url)

    async def _accepted(self, webhook: Webhook) -> bool:
        try:
            async with self._http.post(webhook.url, data=webhook.body, headers=webhook.headers) as answer:
                return answer.ok
        except (aiohttp.ClientError, TimeoutError):
            return False


@asynccontextmanager
async def open_webhook_sender(failures: FailureInjector) -> AsyncIterator[WebhookSender]:
    timeout = aiohttp.ClientTimeout(total=WEBHOOK_CALL_S)
    async with aiohttp.ClientSession(timeout=timeout) as http:
        sender = WebhookSender(http, failures)
        try:
            yield sender
        finally:
            await sender.close()
