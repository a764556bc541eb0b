"""POST /api/v1/webhooks/{provider}: a provider's signed event. 2xx only after the commit, or the provider would not
send it again; then always 2xx, also for what we do not know or understand, or it would send that for a day.
"""

from aiohttp import web

from services.gateway_api.bodies.answers import WebhookAnswer
from services.gateway_api.dependencies import Dependencies
from services.gateway_api.limits import WEBHOOK_BYTES_MAX
from services.gateway_api.payments.recording import Recorder
from services.gateway_api.providers import InvalidSignatureError
from services.gateway_api.web.json_answers import answer
from services.gateway_api.web.problems import Problem
from services.gateway_api.web.reading import read_body
from services.gateway_api.web.request_log import note


def routes(dependencies: Dependencies, recorder: Recorder) -> list[web.RouteDef]:
    async def post_webhook(request: web.Request) -> web.Response:
        provider = dependencies.providers.get(request.match_info["provider"])
        if provider is None:
            raise Problem("unknown-provider", 404, "No such payment provider is switched on")
        note(request, provider=provider.name)
        body = await read_body(request, WEBHOOK_BYTES_MAX)
        try:
            fact = provider.read_webhook(request.headers, body)
        except InvalidSignatureError:
            dependencies.metrics.bad_webhooks.labels(provider.name).inc()
            raise Problem("invalid-signature", 400, "The signature does not fit") from None
        dependencies.metrics.secret_used.labels(provider.name, str(fact.proof.position)).inc()
        note(request, eventType=fact.event, paymentId=fact.payment_id)
        recorded = await recorder.record(fact)
        note(request, **recorded.about, outcome="ok" if recorded.new else "duplicate")
        return answer(WebhookAnswer(received=True, duplicate=not recorded.new))

    return [web.post("/api/v1/webhooks/{provider}", post_webhook)]
