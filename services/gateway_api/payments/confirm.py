"""POST /api/v1/payments/confirm: what the checkout page brought back, as JSON or as the form that the provider posts.

The signature is checked before the database is asked. Under the policy `signature` a genuine pair on a known order is
success now; under `capture` the provider is asked first, and a slow answer is a 202 that a webhook or the reconciler
finishes. Kafka has no part in this.
"""

import asyncio
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from urllib.parse import parse_qsl

from aiohttp import web
from opentelemetry import trace

from services.common.errors import DependencyError
from services.common.telemetry.traces import exemplar_of
from services.gateway_api.bodies.answers import ConfirmAnswer, ConfirmPendingAnswer
from services.gateway_api.dependencies import Dependencies
from services.gateway_api.limits import CAPTURE_FETCH_S, CONFIRM_AGAIN_S, CONFIRM_S, FORM_FIELDS_MAX
from services.gateway_api.payments.recording import Recorder
from services.gateway_api.payments.rows import Recorded
from services.gateway_api.providers import InvalidSignatureError, Provider, ProviderRefusedError, VerifiedPayment
from services.gateway_api.providers.meanings import Meaning
from services.gateway_api.providers.verified import as_about_order
from services.gateway_api.web.json_answers import answer
from services.gateway_api.web.problems import Problem
from services.gateway_api.web.reading import decode_json, invalid, require_json
from services.gateway_api.web.request_log import note

_FORM = "application/x-www-form-urlencoded"
Fields = Mapping[str, object]


def routes(dependencies: Dependencies, recorder: Recorder) -> list[web.RouteDef]:
    confirmation = _Confirmation(dependencies, recorder)

    async def post_confirm(request: web.Request) -> web.Response:
        started = time.perf_counter()
        outcome = "unavailable"
        try:
            response, outcome = await confirmation.answer(request)
        except Problem as problem:
            outcome = "refused" if problem.status < 500 else "unavailable"
            raise
        else:
            return response
        finally:
            note(request, outcome=outcome)
            duration = dependencies.metrics.confirmation_duration.labels(outcome)
            duration.observe(time.perf_counter() - started, exemplar_of(trace.get_current_span()))

    return [web.post("/api/v1/payments/confirm", post_confirm)]


class _Confirmation:
    def __init__(self, dependencies: Dependencies, recorder: Recorder) -> None:
        self._providers = dependencies.providers
        self._secret_used = dependencies.metrics.secret_used
        self._asks_first = dependencies.settings.confirm_policy == "capture"
        self._recorder = recorder

    async def answer(self, request: web.Request) -> tuple[web.Response, str]:
        """The answer and its outcome for the metric. Raises Problem, RecordError."""
        # Whole and within its limits: the guard has seen to that.
        body = await request.read()
        fields = _read_fields(request.content_type, body)
        provider = _provider_of(fields, self._providers)
        note(request, provider=provider.name)
        try:
            said = provider.read_callback(fields, body)
        except InvalidSignatureError:
            raise Problem("invalid-signature", 401, "The signature does not fit") from None
        if isinstance(said, str):
            return await self._ask(request, provider, said)
        self._secret_used.labels(provider.name, str(said.proof.position)).inc()
        note(request, paymentId=said.payment_id)
        if self._asks_first:
            return await self._claim(request, provider, said)
        return _told(request, said.payment_id, await self._recorder.record(said))

    async def _claim(self, request: web.Request, provider: Provider, said: VerifiedPayment) -> tuple[web.Response, str]:
        assert said.payment_id is not None
        assert said.provider_order_id is not None
        deadline = asyncio.get_running_loop().time() + CONFIRM_S
        claimed = await self._recorder.record(replace(said, meaning=Meaning.CLAIMED))
        if claimed.order_id is None or claimed.accepted is not None:
            return _told(request, said.payment_id, claimed)
        try:
            async with asyncio.timeout_at(deadline):
                fact = await provider.fetch_payment(said.payment_id, within_s=CAPTURE_FETCH_S)
                recorded = await self._recorder.record(as_about_order(fact, said.provider_order_id))
        except (DependencyError, ProviderRefusedError, TimeoutError):
            # What was claimed is stored: a webhook or the reconciler finishes it.
            return _pending(request, claimed)
        return _told(request, said.payment_id, replace(recorded, new=claimed.new))

    async def _ask(self, request: web.Request, provider: Provider, order_id: str) -> tuple[web.Response, str]:
        """A provider that signs no callback is asked: the browser's word starts the question, and proves nothing.
        Anybody can bring it, so it is asked no more once the order is paid.
        """
        deadline = asyncio.get_running_loop().time() + CONFIRM_S
        known = await self._recorder.find(provider.name, order_id)
        if known is None:
            raise _unknown_order()
        if known.accepted is not None:
            return _told(request, known.accepted, known)
        with suppress(DependencyError, ProviderRefusedError, TimeoutError):
            async with asyncio.timeout_at(deadline):
                for fact in await provider.fetch_order(order_id, within_s=CAPTURE_FETCH_S):
                    # The browser's question is one fact, however often it is asked and whatever has changed since.
                    recorded = await self._recorder.record(replace(fact, event="confirm", cumulative=None))
                    if recorded.order_id != known.order_id:
                        continue
                    known = recorded
                    if known.accepted == fact.payment_id:
                        return _told(request, fact.payment_id, known)
        return _pending(request, known)


def _read_fields(content_type: str, body: bytes) -> Fields:
    """Raises Problem 400, 415, 422."""
    if content_type != _FORM:
        require_json(content_type)
        data = decode_json(body)
        if not isinstance(data, dict):
            raise invalid(("", "an object"))
        return data
    try:
        pairs = parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=FORM_FIELDS_MAX)
    except ValueError:
        raise Problem("bad-request", 400, "The form cannot be read") from None
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise Problem("bad-request", 400, "The form names a field twice")
    return fields


def _provider_of(fields: Fields, providers: Mapping[str, Provider]) -> Provider:
    """Raises Problem 404, 422."""
    name = fields.get("provider")
    if name is None and any(field.startswith("razorpay_") for field in fields):
        name = "razorpay"
    if not isinstance(name, str):
        raise invalid(("provider", "the name of a payment provider"))
    provider = providers.get(name)
    if provider is None:
        raise Problem("unknown-provider", 404, "No such payment provider is switched on")
    return provider


def _told(request: web.Request, payment_id: str | None, recorded: Recorded) -> tuple[web.Response, str]:
    if recorded.order_id is None:
        raise _unknown_order()
    note(request, **recorded.about)
    if recorded.accepted is None or recorded.confirmed_at is None:
        return _pending(request, recorded)
    if recorded.accepted != payment_id:
        raise Problem(
            "order-already-paid",
            409,
            "Another payment has paid this order",
            "This one will be refunded.",
            orderId=recorded.order_id,
        )
    if recorded.status == "review":
        return _pending(request, recorded)
    # Refunded or disputed since: the confirmation itself stands, and its answer stays the same.
    told = ConfirmAnswer(
        order_id=recorded.order_id,
        payment_id=recorded.accepted,
        status="succeeded",
        confirmed_at=recorded.confirmed_at,
        replayed=not recorded.new,
    )
    return answer(told), "replayed" if told.replayed else "succeeded"


def _pending(request: web.Request, recorded: Recorded) -> tuple[web.Response, str]:
    assert recorded.order_id is not None
    note(request, **recorded.about)
    headers = {"Location": f"/api/v1/payments/{recorded.order_id}", "Retry-After": str(CONFIRM_AGAIN_S)}
    told = ConfirmPendingAnswer(order_id=recorded.order_id, status=recorded.status)
    return answer(told, status=202, headers=headers), "pending"


def _unknown_order() -> Problem:
    return Problem("unknown-order", 404, "No order here has that provider's id")
