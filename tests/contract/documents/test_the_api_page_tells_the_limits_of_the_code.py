from pathlib import Path

from services.gateway_api import limits
from services.gateway_api.callers.machine_keys import MACHINE_ROLES
from services.gateway_api.callers.roles import Role

PAGE = " ".join((Path(__file__).parents[3] / "docs" / "api.md").read_text(encoding="utf-8").split())


def test_every_limit_is_the_one_that_is_enforced() -> None:
    told = [
        f"{limits.BODY_BYTES_MAX // 1024} KiB, of a webhook {limits.WEBHOOK_BYTES_MAX // 1024} KiB",
        f"time for a body | {limits.BODY_READ_S:g} s",
        f"between two | {limits.IDLE_S:g} s",
        f"does not read | {limits.STALLED_S:g} s",
        f"{limits.SUBJECT_REQUESTS_MAX} in {limits.RATE_WINDOW_S} s",
        f"{limits.BAD_SIGNATURES_MAX} in {limits.RATE_WINDOW_S} s",
        f"nested at most {limits.JSON_DEPTH_MAX} deep",
        f"1 to {limits.IDEMPOTENCY_KEY_CHARACTERS_MAX} characters",
        f"For {limits.IDEMPOTENCY_KEPT_HOURS} hours",
    ]
    assert [sentence for sentence in told if sentence not in PAGE] == []


def test_every_role_is_named_and_a_machines_too() -> None:
    people, machines = PAGE.split("A machine has the roles", 1)
    assert [role for role in Role if f"`{role.value}`" not in people] == []
    assert [role for role in MACHINE_ROLES if f"`{role.value}`" not in machines] == []
