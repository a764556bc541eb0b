"""All simulators on one port. They hold everything in memory: a sandbox that stops forgets."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web

from services.common.health import listen
from services.sandbox import control, course_service, push_service, traces
from services.sandbox.accounts import Accounts
from services.sandbox.failures import FailureInjector, Failures
from services.sandbox.limits import BODY_BYTES_MAX
from services.sandbox.push_service import Inbox
from services.sandbox.razorpay import api, checkout, incidents
from services.sandbox.razorpay.books import Books
from services.sandbox.razorpay.events import RazorpayEvents
from services.sandbox.stripe import api as stripe_api
from services.sandbox.stripe import checkout as stripe_checkout
from services.sandbox.stripe import incidents as stripe_incidents
from services.sandbox.stripe.events import StripeEvents
from services.sandbox.stripe.intents import Intents
from services.sandbox.webhooks import WebhookSender, open_webhook_sender


@asynccontextmanager
async def serve_sandbox(
    accounts: Accounts, *, host: str = "127.0.0.1", port: int, failures: Failures, seed: int = 1
) -> AsyncIterator[int]:
    """Serves until exit; yields the port in use. Raises ConfigurationError when it is taken."""
    injector = FailureInjector(failures, seed=seed)
    inbox = Inbox()
    async with open_webhook_sender(injector) as sender:
        app = web.Application(client_max_size=BODY_BYTES_MAX)
        stripe, razorpay = _stripe_routes(accounts, sender, injector), _razorpay_routes(accounts, sender, injector)
        app.add_routes(_beside(stripe, razorpay))
        app.add_routes(course_service.routes(injector))
        app.add_routes(push_service.routes(inbox, injector))
        app.add_routes(control.routes(injector, inbox, sender))
        app.add_routes(traces.routes(traces.Traces()))
        async with listen(app, host=host, port=port, setting="--port") as bound:
            yield bound


def _razorpay_routes(accounts: Accounts, sender: WebhookSender, injector: FailureInjector) -> list[web.RouteDef]:
    books, events = Books(), RazorpayEvents(accounts.razorpay, sender)
    return [
        *api.routes(accounts.razorpay, books, events, injector),
        *checkout.routes(accounts.razorpay, books, events),
        *incidents.routes(books, events),
    ]


def _stripe_routes(accounts: Accounts, sender: WebhookSender, injector: FailureInjector) -> list[web.RouteDef]:
    intents, events = Intents(), StripeEvents(accounts.stripe, sender)
    return [
        *stripe_api.routes(accounts.stripe, intents, events, injector),
        *stripe_checkout.routes(intents, events),
        *stripe_incidents.routes(intents, events),
    ]


def _beside(stripe: list[web.RouteDef], razorpay: list[web.RouteDef]) -> list[web.RouteDef]:
    """Both have GET /v1/refunds and /v1/disputes; who calls shows in the credentials."""
    of_stripe = {(route.method, route.path): route.handler for route in stripe}
    shared = {
        (route.method, route.path): route.handler for route in razorpay if (route.method, route.path) in of_stripe
    }

    def either(key: tuple[str, str]) -> web.RouteDef:
        async def handle(request: web.Request) -> web.StreamResponse:
            is_stripe = request.headers.get("Authorization", "").startswith("Bearer ")
            return await (of_stripe if is_stripe else shared)[key](request)

        return web.RouteDef(*key, handle, {})

    alone = [route for route in (*stripe, *razorpay) if (route.method, route.path) not in shared]
    return [*alone, *(either(key) for key in shared)]
