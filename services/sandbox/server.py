"""All simulators on one port. They hold everything in memory: a sandbox that stops forgets."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web

from services.common.health import listen
from services.sandbox import control, course_service, push_service
from services.sandbox.accounts import Accounts
from services.sandbox.failures import FailureInjector, Failures
from services.sandbox.limits import BODY_BYTES_MAX
from services.sandbox.push_service import Inbox
from services.sandbox.razorpay import api, checkout, incidents
from services.sandbox.razorpay.books import Books
from services.sandbox.razorpay.events import RazorpayEvents
from services.sandbox.stripe import api as stripe_api
from services.sandbox.stripe import checkout as stripe_checkout
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
        app.add_routes(_stripe_routes(accounts, sender, injector))
        app.add_routes(_razorpay_routes(accounts, sender, injector))
        app.add_routes(course_service.routes(injector))
        app.add_routes(push_service.routes(inbox, injector))
        app.add_routes(control.routes(injector, inbox, sender))
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
    return [*stripe_api.routes(accounts.stripe, intents, events, injector), *stripe_checkout.routes(intents, events)]
