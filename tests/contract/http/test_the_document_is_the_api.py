"""The OpenAPI document against the routes, and generated requests against the document."""

import ast
import asyncio
import os
from collections import defaultdict
from math import ceil
from pathlib import Path
from typing import Any

import hypothesis
import pytest
import schemathesis
from aiohttp import web
from hypothesis import HealthCheck, Phase
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from services.gateway_api.app import create_app
from services.gateway_api.callers.roles import Role
from services.gateway_api.routing.endpoints import ENDPOINTS
from services.gateway_api.routing.openapi import openapi_document
from services.gateway_api.routing.problem_types import PROBLEM_TYPES
from tests.support.gateway import Gateway, add_course, running_gateway

PACKAGE = Path(__file__).parents[3] / "services" / "gateway_api"
# `make fuzz` asks for more.
REQUESTS = int(os.environ.get("COURSEPAY_TEST_REQUESTS", "600"))
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]


async def test_every_route_is_documented_and_nothing_else(gateway: Gateway) -> None:
    app = create_app(gateway.dependencies)
    served = {_key(route) for route in app.router.routes() if route.method != "HEAD"}
    assert served == set(ENDPOINTS) - {key for key in ENDPOINTS if "enrollments" in key[1] and key[0] != "*"}
    told = {(method.upper(), path) for path, methods in openapi_document()["paths"].items() for method in methods}
    assert told == {key for key in ENDPOINTS if key[0] != "*"}


async def test_a_route_that_the_table_does_not_know_stops_the_start(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def answer(_request: web.Request) -> web.Response:
        return web.Response()

    monkeypatch.setattr("services.gateway_api.routing.enrollments.routes", lambda: [web.get("/api/v1/secret", answer)])
    with pytest.raises(AssertionError, match="GET /api/v1/secret"):
        create_app(gateway.dependencies)


def test_every_problem_that_the_code_raises_is_explained_with_its_status() -> None:
    raised = defaultdict[str, set[int]](set)
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            match node:
                case ast.Call(func=ast.Name("Problem"), args=[ast.Constant(str(slug)), ast.Constant(int(status)), *_]):
                    raised[slug].add(status)
                case ast.Call(func=ast.Name("Problem"), args=[ast.Constant(str(slug)), *_]):
                    # It passes on the status with which aiohttp refused, such as an unknown Expect.
                    raised[slug].add(417)
    assert raised["bad-request"] == {400, 417}
    explained = {slug: set(problem.statuses) for slug, problem in PROBLEM_TYPES.items() if problem.statuses}
    assert raised == explained


async def test_generated_requests_meet_no_surprise(database_url: str, tmp_path: Path) -> None:
    """Each operation with every role at once: no 5xx, no undocumented status or body."""
    await add_course(database_url)
    async with running_gateway(database_url, tmp_path, rate_limits="off") as gateway:
        await asyncio.to_thread(_try_out, gateway.url, gateway.headers(*Role))


def _try_out(url: str, headers: dict[str, str]) -> None:
    schema = schemathesis.openapi.from_url(f"{url}/openapi.json")
    operations = [found.ok() for found in schema.get_all_operations()]
    tried = [operation for operation in operations if "enrollments" not in operation.path]
    for operation in tried:

        @hypothesis.settings(
            max_examples=ceil(REQUESTS / len(tried)),
            deadline=None,
            derandomize=True,
            database=None,
            phases=[Phase.explicit, Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @hypothesis.given(case=operation.as_strategy())
        def send(case: Any) -> None:  # noqa: ANN401 - schemathesis has no types
            case.call_and_validate(headers=headers, checks=CHECKS, timeout=10)

        send()


def _key(route: web.AbstractRoute) -> tuple[str, str]:
    assert route.resource is not None
    return route.method, route.resource.canonical
