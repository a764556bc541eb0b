"""Several failures in a row are the service's fault: the records keep their attempts until it is back."""

import pytest

from services.common.database import Database
from services.common.errors import DependencyError
from services.engine.outcomes import Done, Retry
from services.sandbox.ports import free_ports
from tests.support.events import purchase_created
from tests.support.notifying import open_desk
from tests.support.outside import OutsideStub, outside_stub

CLOSED, OPEN = 0, 2


async def test_after_five_failures_nothing_is_asked_and_nothing_is_used_up(
    database: Database, push: OutsideStub
) -> None:
    push.answer = lambda _asked: (503, {})
    async with open_desk(database, push_url=push.url) as desk:
        for number in range(5):
            assert isinstance(await desk.notifier.notify(purchase_created(f"ord_{number}")), Retry)
        assert desk.circuit_of("push_service") == OPEN
        with pytest.raises(DependencyError) as raised:
            await desk.notifier.notify(purchase_created("ord_6"))
        assert raised.value.dependency == "push_service"
        # Nothing is recorded about a message that was not tried.
        assert await desk.statuses() == ["failed"] * 5
    assert len(push.asked) == 5


async def test_the_probe_that_fails_uses_up_nothing_and_one_that_succeeds_closes_the_circuit(
    database: Database, push: OutsideStub
) -> None:
    push.answer = lambda _asked: (503, {})
    async with open_desk(database, push_url=push.url, open_s=0.0) as desk:
        for number in range(5):
            await desk.notifier.notify(purchase_created(f"ord_{number}"))
        with pytest.raises(DependencyError):
            await desk.notifier.notify(purchase_created("ord_6"))
        assert len(push.asked) == 6
        push.answer = lambda _asked: (201, {})
        assert await desk.notifier.notify(purchase_created("ord_6")) == Done()
        assert desk.circuit_of("push_service") == CLOSED


async def test_nobody_there_pauses_at_once_and_goes_on_when_somebody_is(database: Database) -> None:
    (port,) = free_ports(1)
    async with open_desk(database, push_url=f"http://127.0.0.1:{port}") as desk:
        with pytest.raises(DependencyError):
            await desk.notifier.notify(purchase_created("ord_1"))
        assert await desk.statuses() == []
        async with outside_stub(port=port):
            assert await desk.notifier.notify(purchase_created("ord_1")) == Done()


async def test_one_message_that_always_fails_does_not_open_the_circuit(database: Database, push: OutsideStub) -> None:
    push.answer = lambda asked: (500 if asked.body["studentId"] == "student-bad" else 201, {})
    async with open_desk(database, push_url=push.url) as desk:
        for number in range(8):
            bad = purchase_created(f"ord_bad_{number}", student_id="student-bad")
            assert isinstance(await desk.notifier.notify(bad), Retry)
            assert await desk.notifier.notify(purchase_created(f"ord_{number}")) == Done()
        assert desk.circuit_of("push_service") == CLOSED
