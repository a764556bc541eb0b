"""docs/security.md: its commands work, its Secrets are those of the manifests, and no secret is left out."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

from pydantic import SecretStr

from services.common.settings import Settings
from tests.support.command import run_coursepay
from tests.support.manifests import of_kind, pods
from tests.support.tidy import ROOT

PAGE = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")
# Of a client's certificate; whoever has the key itself needs it too.
OF_KEYS = {"kafka_ssl_key_password", "database_ssl_key_password"}


def commands(program: str) -> Iterator[list[str]]:
    for block in re.findall(r"^```sh\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL):
        yield from (shlex.split(line) for line in block.splitlines() if line.startswith(f"{program} "))


def test_a_leaked_key_of_a_machine_is_ended_by_the_lines_of_the_page(database_url: str, tmp_path: Path) -> None:
    first = ["keys", "create", "reporting-1", "--role", "viewer", "--reason", "a test"]
    told = [first, *(arguments for _, *arguments in commands("coursepay"))]
    for arguments in told:
        done = run_coursepay(*arguments, directory=tmp_path, database_url=database_url)
        assert done.returncode == 0, done.stderr

    assert [arguments[1] for arguments in told] == ["create", "ls", "create", "revoke"]
    listed = run_coursepay("keys", "ls", "--json", directory=tmp_path, database_url=database_url).stdout
    assert re.findall(r'"state": ?"(\w+(?: \w+)?)"', listed) == ["revoked", "in use"]


def test_a_secret_is_made_with_the_keys_that_the_manifests_mount() -> None:
    (made,) = [line for line in commands("kubectl") if line[1] == "create"]
    keys = {word.removeprefix("--from-file=") for word in made if word.startswith("--from-file=")}
    (mounted,) = [volume["secret"] for volume in pods()["gateway"]["volumes"] if volume["name"] == "secrets"]

    assert made[2:5] == ["secret", "generic", mounted["secretName"]]
    assert keys == {item["key"] for item in mounted["items"]}


def test_what_is_restarted_is_a_deployment() -> None:
    restarted = {line[3] for line in commands("kubectl") if line[1] == "rollout"}

    assert restarted
    assert restarted <= {f"deployment/{name}" for name in of_kind("Deployment")}


def test_every_secret_of_the_settings_is_on_the_page() -> None:
    secrets = {name for name, field in Settings.model_fields.items() if field.annotation is SecretStr} - OF_KEYS

    assert {name for name in secrets if f"`{name.upper()}`" not in PAGE} == set()
