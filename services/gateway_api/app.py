"""The HTTP application: routes of every module, wrapped in the middlewares."""

from collections.abc import Callable

from aiohttp import web

from services.gateway_api.admin import (
    allocations,
    departures,
    given_up,
    outbox,
    pendings,
    prices,
    reschedule,
    reviews,
    sessions,
    settlements,
    trainers,
)
from services.gateway_api.admin import payments as refunds
from services.gateway_api.callers.addresses import finding_address
from services.gateway_api.callers.auth import Authenticator
from services.gateway_api.callers.keys import load_keys
from services.gateway_api.callers.ratelimits import RateLimits
from services.gateway_api.dependencies import Dependencies
from services.gateway_api.limits import BODY_READ_S, WEBHOOK_BYTES_MAX
from services.gateway_api.payments import confirm, webhooks
from services.gateway_api.payments.recording import open_recorder
from services.gateway_api.routing import enrollments, problem_types, service_routes
from services.gateway_api.routing.endpoints import ENDPOINTS
from services.gateway_api.routing.guard import guarding
from services.gateway_api.routing.service_routes import Readiness
from services.gateway_api.students import learning, orders
from services.gateway_api.students import payments as own_payments
from services.gateway_api.web.middlewares import answering, cors


def create_app(
    dependencies: Dependencies, *, draining: Callable[[], bool] = lambda: False, body_read_s: float = BODY_READ_S
) -> web.Application:
    """Raises ConfigurationError when there is no usable key to check tokens with."""
    settings = dependencies.settings
    authenticator = Authenticator(
        load_keys(settings, dependencies.http),
        dependencies.database,
        issuer=settings.auth_issuer,
        audience=settings.auth_audience,
    )
    rate_limits = RateLimits(dependencies.metrics, subjects_limited=settings.rate_limits == "on")
    origins = frozenset(part.strip() for part in settings.cors_origins.split(",") if part.strip())
    address_of = finding_address(settings.trusted_proxy_networks)
    guard = guarding(authenticator, rate_limits, address_of=address_of, body_read_s=body_read_s)
    app = web.Application(
        middlewares=[cors(origins), answering(), guard],
        client_max_size=WEBHOOK_BYTES_MAX,
    )
    for module in (
        orders,
        own_payments,
        learning,
        allocations,
        pendings,
        reschedule,
        sessions,
        trainers,
        prices,
        refunds,
        reviews,
        given_up,
        settlements,
        departures,
        outbox,
    ):
        app.add_routes(module.routes(dependencies))
    recorder = open_recorder(dependencies)
    app.add_routes(confirm.routes(dependencies, recorder))
    app.add_routes(webhooks.routes(dependencies, recorder))
    app.add_routes(enrollments.routes())
    app.add_routes(problem_types.routes())
    readiness = Readiness(dependencies.database, draining=draining)
    app.add_routes(service_routes.routes(dependencies.metrics, dependencies.database, readiness))
    _require_known_routes(app)
    return app


def _require_known_routes(app: web.Application) -> None:
    """A route that endpoints.py does not know would be open to everyone, so it stops the start."""
    for route in app.router.routes():
        assert route.resource is not None
        method = "GET" if route.method == "HEAD" else route.method
        if (method, route.resource.canonical) not in ENDPOINTS:
            raise AssertionError(f"{method} {route.resource.canonical} is not in endpoints.py")
