import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import jwt
import pytest
from aiohttp import web
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePrivateKey, generate_private_key
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key as rsa_key

from services.common.errors import ConfigurationError, DependencyError
from services.common.health import listen
from services.common.settings import Settings
from services.gateway_api.callers.keys import JwksKeys, load_keys
from services.gateway_api.limits import JWKS_REFRESH_S
from tests.support.gateway import STUDENT, Gateway, running_gateway

PATH = f"/api/v1/students/{STUDENT}/purchases"


@dataclass(slots=True)
class IdentityProvider:
    url: str = ""
    keys: dict[str, EllipticCurvePrivateKey] = field(default_factory=dict)
    asked: int = 0
    broken: bool = False

    def rotate(self, key_id: str) -> None:
        self.keys[key_id] = generate_private_key(SECP256R1())

    def token(self, key_id: str, gateway: Gateway) -> str:
        claims = {
            "sub": STUDENT, "roles": ["student"], "iss": gateway.settings.auth_issuer,
            "aud": gateway.settings.auth_audience, "exp": int(time.time()) + 60,
        }  # fmt: skip
        return jwt.encode(claims, self.keys[key_id], algorithm="ES256", headers={"kid": key_id})

    async def answer(self, _request: web.Request) -> web.Response:
        self.asked += 1
        if self.broken:
            return web.Response(status=500)
        entries: list[Any] = [
            {**jwt.algorithms.ECAlgorithm.to_jwk(key.public_key(), as_dict=True), "kid": key_id, "use": "sig"}
            for key_id, key in self.keys.items()
        ]
        # A symmetric key in a public set, and an entry of nonsense: both must be passed over.
        entries += [{"kty": "oct", "k": "c2VjcmV0", "kid": "shared"}, {"kty": "??"}, 7]
        return web.json_response({"keys": entries})


@pytest.fixture
async def provider() -> AsyncIterator[IdentityProvider]:
    made = IdentityProvider()
    made.rotate("one")
    app = web.Application()
    app.router.add_get("/keys", made.answer)
    async with listen(app, host="127.0.0.1", port=0, setting="none") as port:
        made.url = f"http://127.0.0.1:{port}/keys"
        yield made


async def _status(gateway: Gateway, token: str) -> int:
    return (await gateway.call("GET", PATH, headers={"Authorization": f"Bearer {token}"}))[0]


async def test_tokens_of_the_set_count_and_the_set_is_kept(
    provider: IdentityProvider, database_url: str, tmp_path: Path
) -> None:
    async with running_gateway(database_url, tmp_path, auth_jwks_url=provider.url) as gateway:
        assert [await _status(gateway, provider.token("one", gateway)) for _ in range(3)] == [200] * 3
        assert provider.asked == 1
        shared = jwt.encode({"sub": STUDENT}, "secret" * 10, algorithm="HS256", headers={"kid": "shared"})
        assert await _status(gateway, shared) == 401
        assert provider.asked == 1


async def test_a_new_key_is_fetched_when_its_id_first_comes_but_not_at_every_strangers_wish(
    provider: IdentityProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [1000.0]
    monkeypatch.setattr("services.gateway_api.callers.keys.time.monotonic", lambda: clock[0])
    async with aiohttp.ClientSession() as http:
        keys = JwksKeys(provider.url, http)
        assert await keys.find("one") is not None
        provider.rotate("two")
        assert [await keys.find("two"), await keys.find("three")] == [None, None]
        assert provider.asked == 1
        clock[0] += JWKS_REFRESH_S
        assert await keys.find("two") is not None
        assert provider.asked == 2


async def test_a_provider_that_is_away_is_survived_with_the_last_set(
    provider: IdentityProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [1000.0]
    monkeypatch.setattr("services.gateway_api.callers.keys.time.monotonic", lambda: clock[0])
    provider.broken = True
    async with aiohttp.ClientSession() as http:
        keys = JwksKeys(provider.url, http)
        with pytest.raises(DependencyError):
            await keys.find("one")
        provider.broken = False
        clock[0] += 1.0
        assert await keys.find("one") is not None
        provider.broken = True
        clock[0] += 3600
        assert await keys.find("one") is not None


async def test_a_public_key_file_wins_and_must_hold_a_strong_public_key(tmp_path: Path) -> None:
    async with aiohttp.ClientSession() as http:
        for key, refused in ((rsa_key(65537, 2048), False), (rsa_key(65537, 1024), True)):  # noqa: S505 - refused
            path = tmp_path / "key.pem"
            path.write_bytes(
                key.public_key().public_bytes(
                    serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
                )
            )
            settings = Settings(auth_public_key_file=path, auth_jwks_url="http://127.0.0.1:1/keys")
            if refused:
                with pytest.raises(ConfigurationError, match="2048 bits"):
                    load_keys(settings, http)
            else:
                found = await load_keys(settings, http).find("whatever")
                assert found is not None
                assert "HS256" not in found.algorithms


async def test_production_wants_keys_of_its_own() -> None:
    async with aiohttp.ClientSession() as http:
        with pytest.raises(ConfigurationError, match="AUTH_JWKS_URL"):
            load_keys(Settings.from_environment(environment="production"), http)
