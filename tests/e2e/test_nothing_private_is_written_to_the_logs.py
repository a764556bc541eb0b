"""A canary: everything that the system prints in a run with failures, searched for what must never be printed."""

import re
from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest

from services.common.settings import Settings
from services.common.telemetry.logs import LOG_FIELDS
from services.processes.catalogue import SERVICES
from services.sandbox.accounts import sandbox_accounts
from services.sandbox.catalogue import build_catalogue
from services.sandbox.demo.plan import COURSES, TRAINERS
from services.sandbox.demo.system import System
from services.sandbox.stack import Stack
from tests.support.demo import assert_balanced, plan_of, shown_on

ACCOUNTS = sandbox_accounts(Settings())
PATTERNS = {
    "an e-mail address": re.compile(r"[\w.+-]+@[\w-]+\.\w{2,}"),
    "a telephone number": re.compile(r"\+\d{10,}"),
    "a token": re.compile(r"\beyJ[\w-]+\.|Bearer "),
    "a signature": re.compile(r"razorpay_signature|\b[0-9a-f]{64}\b|v1=[0-9a-f]{20,}"),
    "a password in an address": re.compile(r"://[^/\s:]+:[^/\s@]+@"),
}
SECRETS = {
    "the key secret": ACCOUNTS.razorpay.key_secret.decode(),
    "the webhook secret": ACCOUNTS.razorpay.webhook_secret.decode(),
    "the other provider's key": ACCOUNTS.stripe.api_key.decode(),
    "the other provider's webhook secret": ACCOUNTS.stripe.webhook_secret.decode(),
}


def names_of_people(seed: int) -> set[str]:
    catalogue = build_catalogue(courses=COURSES, trainers=TRAINERS, seed=seed, starved_courses=1)
    return {trainer.name for trainer in catalogue.trainers}


def found_in(text: str, names: set[str]) -> Iterator[str]:
    for what, pattern in PATTERNS.items():
        yield from (f"{what}: {match[0][:40]}" for match in pattern.finditer(text))
    for what, secret in SECRETS.items():
        if secret in text:
            yield what
    yield from (f"a trainer's name: {name}" for name in names if name in text)


@pytest.mark.timeout(240)
async def test_a_run_with_failures_prints_ids_and_nothing_else_of_people(stack: Stack, tmp_path: Path) -> None:
    plan = plan_of(payments=40, rate=8, seed=5)

    async def nothing(_system: System) -> None:
        return None

    assert_balanced(await shown_on(stack, tmp_path, plan, meanwhile=nothing), plan)
    names = names_of_people(plan.seed)
    for service in SERVICES:
        text = (tmp_path / f"{service}.log").read_text(encoding="utf-8")
        lines = [orjson.loads(line) for line in text.splitlines()]

        assert lines
        assert list(found_in(text, names)) == []
        assert {name for line in lines for name in line} <= LOG_FIELDS
    workers = (tmp_path / "purchase-worker.log").read_text(encoding="utf-8")
    assert '"outcome":"dead"' in workers, "errors are what leaks most, and there was none"


def test_the_canary_sings() -> None:
    leaked = "student@example.com +910000000000 Bearer x postgresql://a:b@c/d Asha Rao " + "0" * 64

    told = set(found_in(f"{leaked} {SECRETS['the key secret']}", {"Asha Rao"}))

    assert {one.split(":")[0] for one in told} == {*PATTERNS, "the key secret", "a trainer's name"}
