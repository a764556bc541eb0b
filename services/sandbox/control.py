"""The sandbox's switchboard: what fails, what arrived. For people and tests; no product code calls it."""

from aiohttp import web
from pydantic import ValidationError

from services.sandbox.failures import FailureInjector, Failures
from services.sandbox.push_service import Inbox
from services.sandbox.webhooks import WebhookSender


def routes(failures: FailureInjector, inbox: Inbox, sender: WebhookSender) -> list[web.RouteDef]:
    """GET /control/health; GET and PUT /control/failures (PUT replaces all); GET /control/push: counts;
    GET /control/push/{key}: how often that Idempotency-Key was accepted; GET /control/webhooks: counts;
    POST /control/webhooks/replay: the newest ones once more.
    """

    async def get_health(_request: web.Request) -> web.Response:
        return web.json_response({"status": "ok"})

    async def get_failures(_request: web.Request) -> web.Response:
        return web.json_response(failures.options.model_dump(by_alias=True))

    async def put_failures(request: web.Request) -> web.Response:
        try:
            failures.options = Failures.model_validate_json(await request.read())
        except ValidationError as error:
            return web.json_response({"errors": error.errors(include_url=False, include_input=False)}, status=422)
        return await get_failures(request)

    async def get_push(_request: web.Request) -> web.Response:
        return web.json_response({**inbox.summary(), "errorsInjected": failures.errors_injected["push"]})

    async def get_push_key(request: web.Request) -> web.Response:
        return web.json_response({"accepted": inbox.deliveries.get(request.match_info["key"], 0)})

    async def get_webhooks(_request: web.Request) -> web.Response:
        counts = {"delivered": sender.delivered, "givenUp": sender.given_up, "dropped": sender.dropped}
        return web.json_response({**counts, "waiting": sender.waiting})

    async def replay_webhooks(_request: web.Request) -> web.Response:
        return web.json_response({"replayed": sender.replay()})

    return [
        web.get("/control/health", get_health),
        web.get("/control/failures", get_failures),
        web.put("/control/failures", put_failures),
        web.get("/control/push", get_push),
        web.get("/control/push/{key}", get_push_key),
        web.get("/control/webhooks", get_webhooks),
        web.post("/control/webhooks/replay", replay_webhooks),
    ]
