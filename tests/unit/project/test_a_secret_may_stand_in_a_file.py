"""`<VARIABLE>_FILE` for every secret, as orchestrators mount them; what cannot be right is refused and named."""

from pathlib import Path

import pytest
from pydantic import SecretStr

from services.common.errors import ConfigurationError
from services.common.settings import PREFIX, Settings, child_environment

SECRETS = [name for name, field in Settings.model_fields.items() if field.annotation is SecretStr]


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    path = tmp_path / "secret"
    path.write_text("hush\n")
    return path


@pytest.mark.parametrize("name", SECRETS)
def test_every_secret_is_read_from_its_file(monkeypatch: pytest.MonkeyPatch, secret: Path, name: str) -> None:
    monkeypatch.delenv(f"{PREFIX}{name.upper()}", raising=False)
    monkeypatch.setenv(f"{PREFIX}{name.upper()}_FILE", str(secret))

    # The one secret that has a form of its own.
    kept = "postgresql://app:hush@127.0.0.1/db" if name == "database_url" else "hush"
    secret.write_text(f"{kept}\n")
    assert getattr(Settings.from_environment(), name).get_secret_value() == kept


def test_what_is_no_secret_is_no_file(monkeypatch: pytest.MonkeyPatch, secret: Path) -> None:
    monkeypatch.setenv("COURSEPAY_AUTH_PUBLIC_KEY_FILE", str(secret))
    monkeypatch.setenv("COURSEPAY_AUTH_ISSUER_FILE", str(secret))

    settings = Settings.from_environment()
    assert (settings.auth_public_key_file, settings.auth_issuer) == (secret, "coursepay")


def test_the_variable_and_its_file_exclude_each_other(monkeypatch: pytest.MonkeyPatch, secret: Path) -> None:
    monkeypatch.setenv("COURSEPAY_STRIPE_API_KEY", "hush-hush")
    monkeypatch.setenv("COURSEPAY_STRIPE_API_KEY_FILE", str(secret))

    with pytest.raises(ConfigurationError) as refused:
        Settings.from_environment()
    assert str(refused.value) == "COURSEPAY_STRIPE_API_KEY and COURSEPAY_STRIPE_API_KEY_FILE are both set; unset one"


@pytest.mark.parametrize(
    ("content", "says"),
    [(None, "No such file or directory"), (b"", "is empty"), (b"\n", "is empty"), (b"\xff\xfe", "it is no text")],
)
def test_a_file_that_holds_nothing_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, content: bytes | None, says: str
) -> None:
    path = tmp_path / "secret"
    if content is not None:
        path.write_bytes(content)
    monkeypatch.delenv("COURSEPAY_STRIPE_API_KEY", raising=False)
    monkeypatch.setenv("COURSEPAY_STRIPE_API_KEY_FILE", str(path))

    with pytest.raises(ConfigurationError, match=f"COURSEPAY_STRIPE_API_KEY_FILE: {path} .*{says}"):
        Settings.from_environment()


def test_what_a_parent_hands_down_wins_over_its_own_file(monkeypatch: pytest.MonkeyPatch, secret: Path) -> None:
    monkeypatch.setenv("COURSEPAY_DATABASE_URL_FILE", str(secret))
    monkeypatch.setenv("COURSEPAY_STRIPE_API_KEY_FILE", str(secret))

    handed = child_environment({"COURSEPAY_DATABASE_URL": "postgresql://other"})
    assert handed["COURSEPAY_DATABASE_URL"] == "postgresql://other"
    assert "COURSEPAY_DATABASE_URL_FILE" not in handed
    assert handed["COURSEPAY_STRIPE_API_KEY_FILE"] == str(secret)
