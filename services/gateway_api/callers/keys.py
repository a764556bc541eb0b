"""The public keys with which tokens are checked: one from a file, a set from a URL, or the development key.

Only asymmetric keys ever get in, and the algorithms follow from the key, never from the token: a token that claims
HS256 or `none` finds no key that fits. Source: RFC 8725, section 3.1.
"""

import asyncio
import time
from dataclasses import dataclass
from typing import Any, Protocol

import aiohttp
import jwt
import orjson
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from services.common.errors import ConfigurationError, DependencyError
from services.common.settings import Settings
from services.gateway_api.callers.tokens import development_key
from services.gateway_api.limits import JWKS_BYTES_MAX, JWKS_CALL_S, JWKS_KEPT_S, JWKS_REFRESH_S

_EC_ALGORITHMS = {"secp256r1": "ES256", "secp384r1": "ES384", "secp521r1": "ES512"}
_RSA_BITS_MIN = 2048


@dataclass(frozen=True, slots=True, kw_only=True)
class VerificationKey:
    key: Any
    algorithms: tuple[str, ...]


class Keys(Protocol):
    async def find(self, key_id: str | None) -> VerificationKey | None:
        """None: no such key. Raises DependencyError when the keys cannot be had now."""


def load_keys(settings: Settings, http: aiohttp.ClientSession) -> Keys:
    """A file wins over a URL, both over the development key. Raises ConfigurationError for a file without a usable
    key, and in production when neither is set.
    """
    if settings.auth_public_key_file is not None:
        path = settings.auth_public_key_file
        try:
            found = _usable(serialization.load_pem_public_key(path.read_bytes()))
        except (OSError, ValueError) as error:
            raise ConfigurationError(f"COURSEPAY_AUTH_PUBLIC_KEY_FILE: {path} holds no public key ({error})") from None
        if found is None:
            raise ConfigurationError(
                f"COURSEPAY_AUTH_PUBLIC_KEY_FILE: {path} must hold an RSA (2048 bits or more), EC or Ed25519 key"
            )
        return OneKey(found)
    if settings.auth_jwks_url is not None:
        return JwksKeys(settings.auth_jwks_url, http)
    if settings.production:
        raise ConfigurationError("set COURSEPAY_AUTH_JWKS_URL or COURSEPAY_AUTH_PUBLIC_KEY_FILE in production")
    return OneKey(VerificationKey(key=development_key(settings.state_directory).public_key(), algorithms=("EdDSA",)))


class OneKey:
    """Checks every token, whatever key id it names."""

    def __init__(self, key: VerificationKey) -> None:
        self._key = key

    async def find(self, key_id: str | None) -> VerificationKey | None:  # noqa: ARG002 - the protocol's
        return self._key


class JwksKeys:
    """A JSON Web Key Set (RFC 7517), kept for ten minutes and asked again for an unknown key id, not more often than
    every 30 s. While its server is away the last set stays in use.
    """

    def __init__(self, url: str, http: aiohttp.ClientSession) -> None:
        self._url = url
        self._http = http
        self._keys: dict[str | None, VerificationKey] = {}
        self._tried_at = -JWKS_KEPT_S
        self._fetched_at: float | None = None
        self._fetching = asyncio.Lock()

    async def find(self, key_id: str | None) -> VerificationKey | None:
        if self._is_due(key_id):
            async with self._fetching:
                if self._is_due(key_id):
                    await self._refresh()
        if self._fetched_at is None:
            raise DependencyError("the key set cannot be had", dependency="jwks")
        if key_id is None and len(self._keys) == 1:
            return next(iter(self._keys.values()))
        return self._keys.get(key_id)

    def _is_due(self, key_id: str | None) -> bool:
        now = time.monotonic()
        if self._fetched_at is None:
            # Nothing to answer with: each caller may try, one at a time, but not faster than once a second.
            return now - self._tried_at >= 1.0
        wanted = now - self._fetched_at >= JWKS_KEPT_S or (key_id is not None and key_id not in self._keys)
        return wanted and now - self._tried_at >= JWKS_REFRESH_S

    async def _refresh(self) -> None:
        self._tried_at = time.monotonic()
        try:
            async with self._http.get(self._url, timeout=aiohttp.ClientTimeout(total=JWKS_CALL_S)) as answer:
                answer.raise_for_status()
                entries = orjson.loads(await _read_bounded(answer))["keys"]
        except (aiohttp.ClientError, TimeoutError, ValueError, KeyError, TypeError):
            return
        self._keys = _usable_entries(entries)
        self._fetched_at = time.monotonic()


async def _read_bounded(answer: aiohttp.ClientResponse) -> bytes:
    body = bytearray()
    async for chunk in answer.content.iter_any():
        body += chunk
        if len(body) > JWKS_BYTES_MAX:
            raise ValueError("the key set is too large")
    return bytes(body)


def _usable_entries(entries: list[dict[str, Any]]) -> dict[str | None, VerificationKey]:
    keys: dict[str | None, VerificationKey] = {}
    for entry in entries:
        if not isinstance(entry, dict) or entry.get("kty") == "oct" or entry.get("use", "sig") != "sig":
            continue
        try:
            found = _usable(jwt.PyJWK.from_dict(entry).key)
        except jwt.PyJWTError:
            continue
        if found is not None:
            keys[entry.get("kid")] = found
    return keys


def _usable(key: object) -> VerificationKey | None:
    if isinstance(key, RSAPublicKey) and key.key_size >= _RSA_BITS_MIN:
        return VerificationKey(key=key, algorithms=("RS256", "PS256", "RS384", "RS512"))
    if isinstance(key, EllipticCurvePublicKey) and key.curve.name in _EC_ALGORITHMS:
        return VerificationKey(key=key, algorithms=(_EC_ALGORITHMS[key.curve.name],))
    if isinstance(key, Ed25519PublicKey):
        return VerificationKey(key=key, algorithms=("EdDSA",))
    return None
