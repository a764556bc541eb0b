"""JSON holds fields of the allow-list and no pictures; the console adds an emoji column where it can be shown."""

import subprocess
import sys

import orjson
import pytest

from services.common.settings import child_environment
from services.common.telemetry.logs import EMOJI_OF_OUTCOME

_SPEAKS = """
import logging, structlog
from services.common.settings import Settings
from services.common.telemetry.logs import configure_logging

configure_logging(Settings.from_environment(), "notifier")
structlog.get_logger().info("record_handled", outcome="ok", orderId="ord_1", signature="c0ffee", payload={"a": 1})
logging.getLogger("somebody.else").warning("a library speaks")
"""
CHECK = EMOJI_OF_OUTCOME["ok"]


def spoken(encoding: str, **settings: str) -> str:
    named = {f"COURSEPAY_{name.upper()}": value for name, value in settings.items()}
    environment = child_environment({**named, "PYTHONIOENCODING": encoding})
    done = subprocess.run(
        [sys.executable, "-c", _SPEAKS], env=environment, capture_output=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.decode(encoding)


def test_json_has_allowed_fields_only_and_no_emoji() -> None:
    own, library = [orjson.loads(line) for line in spoken("utf-8").splitlines()]

    assert set(own) == {"event", "level", "timestamp", "service", "outcome", "orderId"}
    assert (own["event"], own["outcome"]) == ("record_handled", "ok")
    # Otherwise it would be plain text between the lines.
    assert (library["event"], library["reason"], library["error"]) == (
        "library_message",
        "somebody.else",
        "a library speaks",
    )


def test_the_console_shows_how_it_ended() -> None:
    told = spoken("utf-8", log_format="console")

    assert f"{CHECK} record_handled" in told
    assert "c0ffee" not in told


@pytest.mark.parametrize(("encoding", "emoji"), [("ascii", "on"), ("latin-1", "on"), ("utf-8", "off")])
def test_no_emoji_where_it_cannot_be_shown_or_is_not_wanted(encoding: str, emoji: str) -> None:
    told = spoken(encoding, log_format="console", log_emoji=emoji)

    assert "record_handled" in told
    assert CHECK not in told
    assert told.isascii()
