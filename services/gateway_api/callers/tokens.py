"""Tokens for development, signed with a key pair that the state directory holds. Never in production."""

import os
import secrets
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from services.common.errors import ConfigurationError
from services.common.settings import Settings
from services.gateway_api.callers.roles import Role

ALGORITHM = "EdDSA"
_KEY_FILE = "development-key.pem"


def issue_token(settings: Settings, *, subject: str, roles: Sequence[Role], lifetime: timedelta) -> str:
    """A JWT that a gateway of the same state directory accepts.

    Raises ConfigurationError in production, and when the settings name keys that win over the development key.
    """
    if settings.production:
        raise ConfigurationError("tokens of the development key are refused when COURSEPAY_ENVIRONMENT=production")
    if settings.auth_public_key_file or settings.auth_jwks_url:
        raise ConfigurationError(
            "the gateway trusts COURSEPAY_AUTH_PUBLIC_KEY_FILE or COURSEPAY_AUTH_JWKS_URL;"
            " unset them to use tokens of the development key"
        )
    now = datetime.now(UTC)
    claims = {
        "sub": subject,
        "roles": [role.value for role in roles],
        "iss": settings.auth_issuer,
        "aud": settings.auth_audience,
        "iat": now,
        "exp": now + lifetime,
    }
    return jwt.encode(claims, development_key(settings.state_directory), algorithm=ALGORITHM)


def development_key(state_directory: Path) -> Ed25519PrivateKey:
    """Made on first use; processes that start together agree on one. Raises ConfigurationError when the state
    directory cannot be used.
    """
    path = state_directory / _KEY_FILE
    try:
        if not path.exists():
            state_directory.mkdir(parents=True, exist_ok=True)
            _create(path)
        key = serialization.load_pem_private_key(path.read_bytes(), password=None)
    except (OSError, ValueError) as error:
        raise ConfigurationError(
            f"no usable development key at {path} ({error}); remove it or set another state directory"
        ) from None
    if not isinstance(key, Ed25519PrivateKey):
        raise ConfigurationError(f"{path} is no Ed25519 key; remove it, the next start makes a new one")
    return key


def _create(path: Path) -> None:
    pem = Ed25519PrivateKey.generate().private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(pem)
    try:
        # A link fails when the name exists, so the first process wins and nobody reads half a key.
        os.link(draft, path)
    except FileExistsError:
        pass
    finally:
        draft.unlink()
