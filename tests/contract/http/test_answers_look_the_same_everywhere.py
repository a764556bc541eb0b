"""Problems, request ids, CORS, and the route that is gone."""

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path

import pytest

from services.gateway_api.callers.roles import Role
from services.gateway_api.routing.problem_types import PROBLEM_TYPES
from tests.support.gateway import Gateway, running_gateway

SHOP = "https://shop.example"


async def test_an_unknown_path_is_a_problem(gateway: Gateway) -> None:
    async with gateway.http.get(f"{gateway.url}/nothing", headers={"X-Request-Id": "request-7"}) as answer:
        assert (answer.status, answer.content_type) == (404, "application/problem+json")
        assert answer.headers["X-Request-Id"] == "request-7"
        told = await answer.json(content_type=None)
    assert told == {
        "type": "/problems/not-found", "title": "There is no such thing here", "status": 404, "instance": "request-7",
    }  # fmt: skip


async def test_a_strange_request_id_is_replaced(gateway: Gateway) -> None:
    async with gateway.http.get(f"{gateway.url}/nothing", headers={"X-Request-Id": "a b<script>"}) as answer:
        assert answer.headers["X-Request-Id"].isalnum()


async def test_another_method_is_405_with_the_methods_that_exist(gateway: Gateway) -> None:
    async with gateway.http.delete(f"{gateway.url}/api/v1/orders") as answer:
        assert (answer.status, answer.headers["Allow"]) == (405, "POST")
        assert (await answer.json(content_type=None))["type"] == "/problems/method-not-allowed"


async def test_the_type_of_a_problem_can_be_looked_up(gateway: Gateway) -> None:
    for slug, problem in PROBLEM_TYPES.items():
        assert await gateway.call("GET", f"/problems/{slug}") == (200, f"{slug}\n\n{problem.text}\n")
    assert (await gateway.call("GET", "/problems/nothing"))[0] == 404


@pytest.mark.parametrize("path", ["/api/v1/enrollments", "/api/v1/enrollments/", "/api/v1/enrollments/7/lessons"])
async def test_enrollments_are_gone_for_every_method(gateway: Gateway, path: str) -> None:
    for method in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"):
        async with gateway.http.request(method, gateway.url + path) as answer:
            assert answer.status == 410, method
            since = datetime.fromtimestamp(int(answer.headers["Deprecation"].removeprefix("@")), UTC)
            assert since <= parsedate_to_datetime(answer.headers["Sunset"]) < datetime.now(UTC)
            assert 'rel="successor-version"' in answer.headers["Link"]
            assert answer.headers["Cache-Control"] == "max-age=3600"


async def test_only_origins_of_the_setting_may_call_from_a_browser(database_url: str, tmp_path: Path) -> None:
    async with running_gateway(database_url, tmp_path, cors_origins=f"{SHOP}, https://other.example") as gateway:
        path = f"{gateway.url}/api/v1/payments/confirm"
        asked = {"Origin": SHOP, "Access-Control-Request-Method": "POST"}
        async with gateway.http.options(path, headers=asked) as preflight:
            assert preflight.status == 204
            assert preflight.headers["Access-Control-Allow-Origin"] == SHOP
            assert "idempotency-key" in preflight.headers["Access-Control-Allow-Headers"]
        async with gateway.http.get(f"{gateway.url}/nothing", headers={"Origin": SHOP}) as refused:
            assert refused.status == 404
            assert refused.headers["Access-Control-Allow-Origin"] == SHOP
            assert refused.headers["Vary"] == "Origin"
        async with gateway.http.options(path, headers={**asked, "Origin": "https://evil.example"}) as stranger:
            assert stranger.status == 405
            assert "Access-Control-Allow-Origin" not in stranger.headers


async def test_metrics_and_health_are_served_on_the_same_port(gateway: Gateway) -> None:
    assert (await gateway.call("GET", "/health/live"))[0] == 200
    assert await gateway.call("GET", "/health/ready") == (200, {"status": "ok"})
    assert "coursepay_confirmation_duration_seconds_bucket" in (await gateway.call("GET", "/metrics"))[1]


async def test_a_subject_has_a_rate_and_the_setting_lifts_it(database_url: str, tmp_path: Path) -> None:
    path = "/api/v1/students/student-1/progress"
    for switch, expected in (("on", {200, 429}), ("off", {200})):
        async with running_gateway(database_url, tmp_path, rate_limits=switch) as gateway:
            headers = gateway.headers(Role.STUDENT)
            seen = set()
            for _ in range(310):
                async with gateway.http.get(gateway.url + path, headers=headers) as answer:
                    seen.add(answer.status)
                    assert answer.status != 429 or 1 <= int(answer.headers["Retry-After"]) <= 10
            assert seen == expected
