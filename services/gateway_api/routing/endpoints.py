"""Every route of the gateway in one table. The guard enforces it, the OpenAPI document is made from it, and tests
walk it; a route that is mounted but missing here stops the start.
"""

from collections.abc import Iterator, Mapping

from aiohttp import web

from services.gateway_api.bodies import answers as told
from services.gateway_api.bodies.confirm import ConfirmBody
from services.gateway_api.bodies.order import OrderBody
from services.gateway_api.callers.roles import OWNER_OR_STAFF, STUDENT
from services.gateway_api.limits import WEBHOOK_BYTES_MAX
from services.gateway_api.routing.admin_endpoints import admin_endpoints
from services.gateway_api.routing.endpoint import KEY, MISTAKES, PAGE, Endpoint, Parameter

Key = tuple[str, str]
_ENROLLMENT_METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")


def endpoint_of(request: web.Request) -> Endpoint | None:
    """None for a path or method that nobody serves."""
    resource = request.match_info.route.resource
    if resource is None:
        return None
    method = "GET" if request.method == "HEAD" else request.method
    return ENDPOINTS.get((method, resource.canonical)) or ENDPOINTS.get(("*", resource.canonical))


def _table() -> Iterator[Endpoint]:
    yield from _payments()
    yield from _students()
    yield from _enrollments()
    yield from admin_endpoints()
    yield from _service()


def _payments() -> Iterator[Endpoint]:
    yield Endpoint(
        method="POST",
        path="/api/v1/orders",
        summary="Open an order. The price comes from the price table.",
        roles=STUDENT,
        body=OrderBody,
        parameters=(KEY,),
        answers={201: told.OrderAnswer},
        headers={201: ("Location",)},
        problems=(*MISTAKES, 404, 409),
    )
    yield Endpoint(
        method="POST",
        path="/api/v1/payments/confirm",
        summary="Carry the provider's callback to coursepay, as JSON or as the form that the provider posts.",
        body=ConfirmBody,
        form_too=True,
        answers={200: told.ConfirmAnswer, 202: told.ConfirmPendingAnswer},
        headers={202: ("Location", "Retry-After")},
        problems=(*MISTAKES, 401, 404, 409),
    )
    yield Endpoint(
        method="POST",
        path="/api/v1/webhooks/{provider}",
        summary="A payment provider's signed event.",
        raw_body=True,
        body_bytes_max=WEBHOOK_BYTES_MAX,
        answers={200: told.WebhookAnswer},
        problems=(400, 404, 415, 422),
    )
    yield Endpoint(
        method="GET",
        path="/api/v1/payments/{orderId}",
        summary="How far a payment is; Retry-After while more is to come.",
        roles=OWNER_OR_STAFF,
        parameters=(Parameter(name="If-None-Match", where="header", schema={"type": "string"}),),
        answers={200: told.PaymentAnswer, 304: None},
        headers={200: ("ETag", "Retry-After"), 304: ("ETag", "Retry-After")},
        problems=(404,),
    )


def _students() -> Iterator[Endpoint]:
    for name, page in (
        ("purchases", told.PurchasePage),
        ("sessions", told.SessionPage),
        ("progress", told.ProgressPage),
    ):
        yield Endpoint(
            method="GET",
            path=f"/api/v1/students/{{studentId}}/{name}",
            summary=f"A student's {name}.",
            roles=OWNER_OR_STAFF,
            parameters=PAGE,
            answers={200: page},
            problems=(404, 422),
        )


def _enrollments() -> Iterator[Endpoint]:
    for path in ("/api/v1/enrollments", "/api/v1/enrollments/{rest}"):
        for method in _ENROLLMENT_METHODS:
            yield Endpoint(
                method=method,
                path=path,
                summary="Gone: a payment makes the purchase by itself.",
                deprecated=True,
                answers={410: told.ProblemAnswer},
                headers={410: ("Deprecation", "Sunset", "Link", "Cache-Control")},
            )
        yield Endpoint(method="*", path=path, summary="Gone", hidden=True, answers={410: told.ProblemAnswer})


def _service() -> Iterator[Endpoint]:
    yield Endpoint(
        method="GET", path="/health/live", summary="Whether the process works.", answers={200: told.HealthAnswer}
    )
    yield Endpoint(
        method="GET",
        path="/health/ready",
        summary="Whether requests should come here.",
        answers={200: told.HealthAnswer, 503: told.HealthAnswer},
    )
    yield Endpoint(method="GET", path="/metrics", summary="For Prometheus.", answers={200: "text/plain"})
    yield Endpoint(method="GET", path="/openapi.json", summary="This document.", answers={200: "application/json"})
    yield Endpoint(
        method="GET",
        path="/problems/{slug}",
        summary="What a problem's type means.",
        answers={200: "text/plain"},
        problems=(404,),
    )


ENDPOINTS: Mapping[Key, Endpoint] = {(endpoint.method, endpoint.path): endpoint for endpoint in _table()}
