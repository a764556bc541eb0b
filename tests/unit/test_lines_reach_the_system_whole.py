"""Log lines that are printed together are as few calls as a pipe takes whole, and none is torn or lost."""

import logging
from contextlib import redirect_stdout
from io import StringIO
from select import PIPE_BUF

import orjson
import pytest
import structlog

from services.common.settings import Settings
from services.common.telemetry.logs import configure_logging, lines_together
from tests.support.printed import printed


class Told(StringIO):
    """What each call of the system would have been told."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[str] = []

    def flush(self) -> None:
        if text := self.getvalue():
            self.calls.append(text)
            self.truncate(0)
            self.seek(0)


@pytest.mark.parametrize("text", ["plain", "größer"])
def test_lines_together_are_cut_between_lines_where_a_pipe_would_tear_them(text: str) -> None:
    told = Told()
    with printed("gateway"):
        with redirect_stdout(told):
            configure_logging(Settings(), "gateway")
        log = structlog.get_logger()
        log.info("alone")
        with lines_together():
            for number in range(100):
                log.info("request", orderId=f"ord_{number}", error=text * 20)
        log.info("alone")

    first, *together, last = told.calls
    assert [orjson.loads(call)["event"] for call in (first, last)] == ["alone", "alone"]
    assert 1 < len(together) < 50
    assert all(len(call.encode()) <= PIPE_BUF for call in together)
    lines = [orjson.loads(line) for call in together for line in call.splitlines()]
    assert [line["orderId"] for line in lines] == [f"ord_{number}" for number in range(100)]


class Full(Told):
    """A disk, until there is room."""

    has_room = False

    def flush(self) -> None:
        if not self.has_room:
            self.truncate(0)
            self.seek(0)
            raise OSError(28, "No space left on device")
        super().flush()


def test_what_cannot_be_written_ends_nothing_and_is_told_later() -> None:
    full = Full()
    with printed("gateway"):
        with redirect_stdout(full):
            configure_logging(Settings(), "gateway")
        log = structlog.get_logger()
        log.info("alone")
        with lines_together():
            log.info("request")
        logging.getLogger("a.library").error("it says")
        full.has_room = True
        for event in ("first", "second", "third"):
            log.info(event)

    lines = [orjson.loads(line) for line in full.calls]
    assert [(line["event"], line.get("lines_lost")) for line in lines] == [
        ("first", None),
        ("second", 3),
        ("third", None),
    ]


def test_who_speaks_about_another_service_names_that_one() -> None:
    with printed("supervisor") as lines:
        structlog.get_logger().info("child_ended", service="gateway", pid=3)
        structlog.get_logger().info("service_stopped")

    about_child, own = [orjson.loads(line) for line in lines.getvalue().splitlines()]
    assert about_child["service"] == "gateway"
    assert own["service"] == "supervisor"
