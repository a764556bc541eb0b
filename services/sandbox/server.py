"""All simulators on one port. They hold everything in memory: a sandbox that stops forgets."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web

from services.common.health import listen
from services.sandbox import control, course_service, push_service
from services.sandbox.accounts import RazorpayAccount
from services.sandbox.failures import FailureInjector, Failures
from services.sandbox.limits import BODY_BYTES_MAX
from services.sandbox.push_service import Inbox
from services.sandbox.razorpay import api, checkout, incidents
from services.sandbox.razorpay.books import Books
from services.sandbox.razorpay.events import RazorpayEvents
from services.sandbox.webhooks import open_webhook_sender


@asynccontextmanager
async def serve_sandbox(
    account: RazorpayAccount, *, host: str = "127.0.0.1", port: int, failures: Failures, seed: int = 1
) -> AsyncIterator[int]:
    """Serves until exit; yields the port in use. Raises ConfigurationError when it is taken."""
    injector = FailureInjector(failures, seed=seed)
    inbox, books = Inbox(), Books()
    async with open_webhook_sender(injector) as sender:
        events = RazorpayEvents(account, sender)
        app = web.Application(client_max_size=BODY_BYTES_MAX)
        app.add_routes(api.routes(account, books, events, injector))
        app.add_routes(checkout.routes(account, books, events))
        app.add_routes(incidents.routes(books, events))
        app.add_routes(course_service.routes(injector))
        app.add_routes(push_service.routes(inbox, injector))
        app.add_routes(control.routes(injector, inbox, sender))
        async with listen(app, host=host, port=port, setting="--port") as bound:
            yield bound
