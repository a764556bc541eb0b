"""A student's browser: places an order, pays at the provider, carries the callback back, asks again after a 503."""

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import NAMESPACE_URL, uuid5

import aiohttp

from services.sandbox.demo.patience import PATIENCE_S
from services.sandbox.demo.plan import Journey
from services.sandbox.ledger.evidence import Answer

CONNECTIONS_MAX = 256
_CALL_S = 10.0
_AGAIN_AFTER_S = 1.0
_UNREACHABLE = 0
Fields = Mapping[str, Any]


class OrderRefusedError(Exception):
    """The gateway or the provider did not take an order or a payment within the student's patience."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlacedOrder:
    order_id: str
    provider_order_id: str


@dataclass(slots=True, kw_only=True)
class Browser:
    """One for all students of a demo. `token_of`: student id -> bearer token. `answers` is the log for the ledger."""

    http: aiohttp.ClientSession
    gateway_url: str
    sandbox_url: str
    token_of: Callable[[str], str]
    run: str
    answers: list[Answer] = field(default_factory=list)

    async def place_order(self, journey: Journey) -> PlacedOrder:
        """Repeats with the same Idempotency-Key, so that a lost answer makes no second order."""
        wish = journey.wish
        body = {
            "courseId": wish.course_id,
            "purchaseTier": wish.purchase_tier,
            "provider": "razorpay",
            "schedule": wish.schedule,
            "metadata": {"channel": "web"},
        }
        headers = {
            "Authorization": f"Bearer {self.token_of(wish.student_id)}",
            "Idempotency-Key": str(uuid5(NAMESPACE_URL, f"{self.run}/{journey.number}")),
        }
        answer = await self._insist(f"{self.gateway_url}/api/v1/orders", body, headers)
        return PlacedOrder(order_id=answer["orderId"], provider_order_id=answer["providerOrderId"])

    async def pay(self, order: PlacedOrder, journey: Journey) -> Fields:
        """The fields of the callback. The provider's webhook follows by itself."""
        url = f"{self.sandbox_url}/checkout/{order.provider_order_id}/pay"
        return await self._insist(url, {"webhook_delay_s": journey.webhook_delay_s}, {})

    async def confirm(self, order: PlacedOrder, callback: Fields, journey: Journey) -> None:
        """Posts the callback until it is answered for good. Latency counts from the first intended moment."""
        await asyncio.sleep(journey.think_s)
        intended = time.monotonic()
        if journey.forged:
            await self._confirm_once(order, _forge(callback), journey, intended, forged=True)
        posts = [self._confirm_until_answered(order, callback, journey, intended) for _ in range(1 + journey.twice)]
        await asyncio.gather(*posts)

    async def _confirm_until_answered(
        self, order: PlacedOrder, callback: Fields, journey: Journey, intended: float
    ) -> None:
        while time.monotonic() - intended < PATIENCE_S:
            wait_s = await self._confirm_once(order, callback, journey, intended, forged=False)
            if wait_s is None:
                return
            await asyncio.sleep(wait_s)

    async def _confirm_once(
        self, order: PlacedOrder, callback: Fields, journey: Journey, intended: float, *, forged: bool
    ) -> float | None:
        """None: answered for good. Else: seconds after which to ask again."""
        url = f"{self.gateway_url}/api/v1/payments/confirm"
        body: Any = {"data": dict(callback)} if journey.as_form else {"json": {"provider": "razorpay", **callback}}
        status, told, again_s = _UNREACHABLE, {}, _AGAIN_AFTER_S
        try:
            async with self.http.post(url, **body) as answer:
                status, told = answer.status, await answer.json(content_type=None)
                again_s = float(answer.headers.get("Retry-After", _AGAIN_AFTER_S))
        except (aiohttp.ClientError, TimeoutError):
            pass
        self.answers.append(
            Answer(
                order_id=order.order_id,
                status=status,
                forged=forged,
                payment_id=told.get("paymentId"),
                confirmed_at=_time(told.get("confirmedAt")),
                replayed=told.get("replayed"),
                latency_ms=(time.monotonic() - intended) * 1000,
            )
        )
        return again_s if status in {_UNREACHABLE, 202, 503} else None

    async def _insist(self, url: str, body: Fields, headers: Mapping[str, str]) -> Fields:
        """Raises OrderRefusedError for a refusal, or when it takes longer than the student's patience."""
        deadline = time.monotonic() + PATIENCE_S
        last = "unreachable"
        while time.monotonic() < deadline:
            wait_s = _AGAIN_AFTER_S
            try:
                async with self.http.post(url, json=body, headers=headers) as answer:
                    if answer.ok:
                        told: Fields = await answer.json()
                        return told
                    last = f"{answer.status} {(await answer.text())[:300]}"
                    if answer.status not in {409, 429, 502, 503, 504}:
                        break
                    wait_s = float(answer.headers.get("Retry-After", _AGAIN_AFTER_S))
            except (aiohttp.ClientError, TimeoutError) as error:
                last = f"{type(error).__name__} {error}"
            await asyncio.sleep(wait_s)
        raise OrderRefusedError(f"{url}: {last}")


def open_http() -> aiohttp.ClientSession:
    return aiohttp.ClientSession(
        timeout=aiohttp.ClientTimeout(total=_CALL_S), connector=aiohttp.TCPConnector(limit=CONNECTIONS_MAX)
    )


def _forge(callback: Fields) -> Fields:
    signature = str(callback["razorpay_signature"])
    return {**callback, "razorpay_signature": signature[::-1]}


def _time(text: object) -> datetime | None:
    return datetime.fromisoformat(text) if isinstance(text, str) else None
