"""One purchase from the order to the trainer, through a gateway that runs, and the trace that it leaves in the sandbox.

The student's browser begins the trace: order and confirmation carry its `traceparent`, and every worker continues it.
"""

import asyncio
import secrets
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

import aiohttp

from services.sandbox.catalogue import TIME_ZONE, course_id
from services.sandbox.demand import Wish
from services.sandbox.demo.browser import Browser, PlacedOrder
from services.sandbox.demo.plan import Journey

_TIER = 10
_LOOK_S = 0.5
# The callback shall be the first to tell: the trace to be shown is its.
_WEBHOOK_DELAY_S = 2.0
# Each process hands its spans over when it likes, so the last step may be told before the first.
_STEPS = {
    ("POST /api/v1/payments/confirm", "coursepay-gateway"),
    ("process payment.succeeded", "coursepay-purchase-worker"),
    ("process purchase.created", "coursepay-assignment-worker"),
    ("process purchase.created", "coursepay-notifier"),
}
_LAST_STEPS = {
    ("process trainer.assigned", "coursepay-notifier"),
    ("process allocation.pending", "coursepay-notifier"),
}
Json = Mapping[str, Any]
Found = TypeVar("Found")


class StuckPurchaseError(Exception):
    """What was waited for did not come. The message says what there was."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Purchase:
    """`payment`: what `GET /payments/{orderId}` tells. `sessions`: of the student, the next first."""

    payment: Json
    confirmed_ms: float
    sessions: Sequence[Json]
    trace_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Buyer:
    """`token`: of `student`, who should have bought nothing yet: nobody is in two courses at the same hour."""

    student: str
    gateway_url: str
    sandbox_url: str
    token: str
    within_s: float

    async def buy(self) -> Purchase:
        """Raises OrderRefusedError, StuckPurchaseError, aiohttp.ClientError."""
        trace_id = secrets.token_hex(16)
        journey = _journey(self.student)
        async with self._http(traceparent=f"00-{trace_id}-{secrets.token_hex(8)}-01") as http:
            browser = Browser(
                http=http,
                gateway_url=self.gateway_url,
                sandbox_url=self.sandbox_url,
                token_of=lambda _student: self.token,
                run=trace_id,
            )
            order = await browser.place_order(journey)
            await browser.confirm(order, await browser.pay(order, journey), journey)
        async with self._http(Authorization=f"Bearer {self.token}") as http:
            payment = await self._decided(http, order)
            sessions = await _json(http, f"{self.gateway_url}/api/v1/students/{self.student}/sessions")
        own = [one for one in sessions["items"] if one["allocationId"] == payment["allocation"]["allocationId"]]
        return Purchase(
            payment=payment,
            confirmed_ms=browser.answers[-1].latency_ms,
            sessions=sorted(own, key=lambda one: str(one["startsAt"])),
            trace_id=trace_id,
        )

    async def trace_of(self, purchase: Purchase) -> Sequence[Json]:
        """The spans, once those of all steps are among them. Raises StuckPurchaseError."""

        def is_whole(spans: Sequence[Json]) -> bool:
            seen = {(span["name"], span["service"]) for span in spans}
            return seen >= _STEPS and not seen.isdisjoint(_LAST_STEPS)

        async with self._http() as http:

            async def spans() -> Sequence[Json]:
                found: Sequence[Json] = (await _json(http, f"{self.sandbox_url}/control/traces/{purchase.trace_id}"))[
                    "spans"
                ]
                return found

            return await self._until(spans, is_whole)

    async def _decided(self, http: aiohttp.ClientSession, order: PlacedOrder) -> Json:
        url = f"{self.gateway_url}/api/v1/payments/{order.order_id}"
        return await self._until(lambda: _json(http, url), lambda told: told["allocation"] is not None)

    async def _until(self, ask: Callable[[], Awaitable[Found]], is_enough: Callable[[Found], bool]) -> Found:
        deadline = time.monotonic() + self.within_s
        while not is_enough(found := await ask()):
            if time.monotonic() > deadline:
                raise StuckPurchaseError(f"after {self.within_s:g} s there was only {found}")
            await asyncio.sleep(_LOOK_S)
        return found

    def _http(self, **headers: str) -> aiohttp.ClientSession:
        return aiohttp.ClientSession(headers=headers, timeout=aiohttp.ClientTimeout(total=self.within_s))


async def _json(http: aiohttp.ClientSession, url: str) -> Any:  # noqa: ANN401 - JSON
    async with http.get(url, raise_for_status=True) as answer:
        return await answer.json()


def _journey(student: str) -> Journey:
    start = (datetime.now(ZoneInfo(TIME_ZONE)) + timedelta(days=7)).date()
    schedule = {
        "startDate": start.isoformat(),
        "timeSlot": "18:00",
        "weekdays": [1, 3],
        "timeZone": TIME_ZONE,
        "durationMinutes": 60,
        "mode": "online",
        "preferredGender": None,
        "location": None,
    }
    wish = Wish(student_id=student, course_id=course_id(1), purchase_tier=_TIER, schedule=schedule)
    return Journey(number=0, starts_s=0, wish=wish, as_form=False, think_s=0, webhook_delay_s=_WEBHOOK_DELAY_S)
