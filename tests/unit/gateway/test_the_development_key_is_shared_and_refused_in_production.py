import stat
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import jwt
import pytest
import typer
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1
from cryptography.hazmat.primitives.asymmetric.ec import generate_private_key as ec_key
from typer.testing import CliRunner

from services.commands.token import token
from services.common.errors import ConfigurationError
from services.common.settings import Settings
from services.gateway_api.callers.roles import Role
from services.gateway_api.callers.tokens import development_key, issue_token

LIFETIME = timedelta(minutes=5)


def test_processes_that_start_together_agree_on_one_key(tmp_path: Path) -> None:
    directory = tmp_path / "state"
    with ThreadPoolExecutor(16) as threads:
        keys = list(threads.map(lambda _: development_key(directory), range(16)))
    assert len({key.private_bytes_raw() for key in keys}) == 1
    [file] = directory.iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_a_broken_key_file_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "development-key.pem").write_text("nonsense")
    with pytest.raises(ConfigurationError, match="no usable development key"):
        development_key(tmp_path)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"environment": "production"}, "ENVIRONMENT=production"),
        ({"auth_jwks_url": "https://id.example/keys"}, "AUTH_JWKS_URL"),
        ({"auth_public_key_file": Path("key.pem")}, "AUTH_PUBLIC_KEY_FILE"),
    ],
)
def test_no_token_where_it_would_not_count(tmp_path: Path, settings: dict[str, object], message: str) -> None:
    chosen = Settings.from_environment(state_directory=tmp_path, **settings)
    with pytest.raises(ConfigurationError, match=message):
        issue_token(chosen, subject="student-1", roles=[Role.STUDENT], lifetime=LIFETIME)


def test_the_command_prints_one_token_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COURSEPAY_STATE_DIRECTORY", str(tmp_path))
    app = typer.Typer()
    app.command()(token)
    told = CliRunner().invoke(app, ["--role", "support", "--role", "ops", "--subject", "staff-1"])
    assert told.exit_code == 0, told.output
    [line] = told.stdout.splitlines()
    claims = jwt.decode(
        line, development_key(tmp_path).public_key(), algorithms=["EdDSA"], audience="coursepay", issuer="coursepay"
    )
    assert (claims["sub"], claims["roles"]) == ("staff-1", ["support", "ops"])


def test_the_command_knows_the_roles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COURSEPAY_STATE_DIRECTORY", str(tmp_path))
    app = typer.Typer()
    app.command()(token)
    assert CliRunner().invoke(app, ["--role", "captain", "--subject", "staff-1"]).exit_code == 2


def test_another_kind_of_key_is_refused(tmp_path: Path) -> None:
    pem = ec_key(SECP256R1()).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (tmp_path / "development-key.pem").write_bytes(pem)
    with pytest.raises(ConfigurationError, match="no Ed25519 key"):
        development_key(tmp_path)
