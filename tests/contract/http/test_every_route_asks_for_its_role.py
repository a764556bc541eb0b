"""The table of routes against the world: who gets in with which token."""

import base64
import time
from typing import Any

import jwt
import orjson
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from services.gateway_api.callers.roles import Role
from services.gateway_api.callers.tokens import development_key
from services.gateway_api.routing.endpoint import Endpoint
from services.gateway_api.routing.endpoints import ENDPOINTS
from tests.support.gateway import STUDENT, Gateway

GUARDED = [endpoint for endpoint in ENDPOINTS.values() if endpoint.roles]
OPEN = [endpoint for endpoint in ENDPOINTS.values() if not endpoint.roles and not endpoint.hidden]


def _path(endpoint: Endpoint) -> str:
    return endpoint.path.replace("{studentId}", STUDENT).replace("{", "").replace("}", "")


async def test_a_guarded_route_lets_its_roles_in_and_nobody_else(gateway: Gateway) -> None:
    for endpoint in GUARDED:
        path = _path(endpoint)
        assert (await gateway.call(endpoint.method, path))[0] == 401, endpoint
        assert (await gateway.call(endpoint.method, path, headers=gateway.headers()))[0] == 403, endpoint
        for role in Role:
            status, told = await gateway.call(endpoint.method, path, headers=gateway.headers(role))
            if role in endpoint.roles:
                assert status not in {401, 403}, (endpoint, role, told)
            else:
                assert (status, told["type"]) == (403, "/problems/forbidden"), (endpoint, role)


async def test_an_open_route_asks_for_no_token(gateway: Gateway) -> None:
    for endpoint in OPEN:
        _, told = await gateway.call(endpoint.method, _path(endpoint))
        asked = isinstance(told, dict) and told.get("type") in {"/problems/unauthorized", "/problems/forbidden"}
        assert not asked, endpoint


def _claims(gateway: Gateway, **overrides: object) -> dict[str, Any]:
    claims = {
        "sub": STUDENT,
        "roles": ["student"],
        "iss": gateway.settings.auth_issuer,
        "aud": gateway.settings.auth_audience,
        "exp": int(time.time()) + 60,
    }
    return {name: value for name, value in (claims | overrides).items() if value is not None}


async def _status(gateway: Gateway, token: str) -> int:
    path = f"/api/v1/students/{STUDENT}/purchases"
    return (await gateway.call("GET", path, headers={"Authorization": f"Bearer {token}"}))[0]


CLAIMS: list[tuple[dict[str, object], int]] = [
    ({}, 200),
    ({"roles": ["student", "captain", 7, {}]}, 200),
    ({"roles": "student"}, 403),
    ({"roles": None}, 403),
    ({"exp": 1}, 401),
    ({"exp": None}, 401),
    ({"iss": "someone"}, 401),
    ({"iss": None}, 401),
    ({"aud": "something"}, 401),
    ({"aud": None}, 401),
    ({"sub": None}, 401),
    ({"sub": "a b"}, 401),
    ({"sub": "x" * 65}, 401),
    ({"nbf": 4_000_000_000}, 401),
]


async def test_every_claim_counts(gateway: Gateway) -> None:
    key = development_key(gateway.settings.state_directory)
    for claims, status in CLAIMS:
        token = jwt.encode(_claims(gateway, **claims), key, algorithm="EdDSA")
        assert await _status(gateway, token) == status, claims


async def test_a_token_of_another_key_or_algorithm_is_401(gateway: Gateway) -> None:
    assert await _status(gateway, jwt.encode(_claims(gateway), Ed25519PrivateKey.generate(), algorithm="EdDSA")) == 401
    assert await _status(gateway, _unsigned(_claims(gateway))) == 401
    public = development_key(gateway.settings.state_directory).public_key()
    raw = public.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
    # The classic confusion: the public key, which everyone has, taken as an HMAC secret.
    assert await _status(gateway, jwt.encode(_claims(gateway), raw, algorithm="HS256")) == 401


async def test_nonsense_in_the_header_is_401(gateway: Gateway) -> None:
    path = f"{gateway.url}/api/v1/students/{STUDENT}/purchases"
    for value in ("", "Bearer", "Bearer ", "Bearer a.b", "Bearer a.b.c", "Basic YTpi", "Bearer é", "x" * 8000):
        async with gateway.http.get(path, headers={"Authorization": value}) as answer:
            assert answer.status == 401, value
            assert answer.headers["WWW-Authenticate"].startswith("Bearer")


def _unsigned(claims: dict[str, Any]) -> str:
    parts = (orjson.dumps({"alg": "none", "typ": "JWT"}), orjson.dumps(claims), b"")
    return ".".join(base64.urlsafe_b64encode(part).decode().rstrip("=") for part in parts)
