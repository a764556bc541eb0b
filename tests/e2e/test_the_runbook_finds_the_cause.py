"""Somebody who knows nothing but the alert and its page: each command is typed as it stands there, what one prints
fills the places of the next, and in the end the cause has been named. Three troubles: a producer of poison,
a constraint that fails, a push service that is dead. And the commands of other pages that need a running system.
"""

import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
import yaml

from services.sandbox.stack import Stack
from tests.support.alerts.records import dead_push_service, poison
from tests.support.alerts.scene import Scene, scene_on
from tests.support.alerts.servers import blind_operations, gateway_without_its_rights
from tests.support.events import schedule
from tests.support.eventually import eventually
from tests.support.pages import commands_of, typed
from tests.support.tidy import ROOT

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(240)]
LOGS = Path(".coursepay") / "logs"
REFUSE = "ALTER TABLE student_course_purchases ADD CONSTRAINT only_tens CHECK (purchase_tier = 10) NOT VALID"
NIGHT = "SELECT status FROM trainer_allocations WHERE student_id = 'night-0' AND status <> 'cancelled'"
STAFF = ("Somebody waits for a trainer", "A trainer leaves")
PLACE = re.compile(r"│ +(\d+:\d+) +│")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def scene(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Scene]:
    """One for all of them: a system takes longer to start than a page to follow."""
    logs = tmp_path_factory.mktemp("runbook") / LOGS
    logs.mkdir(parents=True)
    async with scene_on(stack, logs) as built:
        yield built


def page_of(alert: str) -> tuple[str, str]:
    """(file, heading), from the annotation of the alert."""
    for path in sorted((ROOT / "deploy" / "prometheus" / "rules").glob("*.yml")):
        for group in yaml.safe_load(path.read_text())["groups"]:
            for rule in group["rules"]:
                if rule["alert"] == alert:
                    page, _ = rule["annotations"]["runbook_url"].removeprefix("docs/").split("#")
                    return page, alert
    raise AssertionError(f"no alert {alert}")


async def follow(scene: Scene, page: str, heading: str, **named: str) -> str:
    """All that the commands there print. `named`: what the words in capitals stand for."""
    told = ""
    for command in commands_of(page, heading):
        # The first is of the most frequent cause.
        for place in PLACE.findall(told)[:1]:
            command = command.replace("PARTITION:OFFSET", place)  # noqa: PLW2901 - filled in as a person would
        for name, value in named.items():
            command = command.replace(name, value)  # noqa: PLW2901
        told += await typed(command, directory=scene.directory.parent.parent, environment=environment_of(scene))
    return told


async def types(scene: Scene, *lines: str) -> str:
    """In one shell: lines that tell of what `make up` runs, at the addresses of this scene."""
    local, notifier = "http://127.0.0.1", scene.system.children["notifier"].ready_url
    places = {
        f"{local}:8080": scene.system.gateway_url,
        f"{local}:8090": scene.system.sandbox_url,
        f"{local}:9103/metrics": notifier.replace("/health/ready", "/metrics"),
        'eval "$(.venv/bin/coursepay stack env)"; ': "",
        ".venv/bin/": "",
    }
    script = "\n".join(lines)
    for text, here in places.items():
        script = script.replace(text, here)
    return await typed(script, directory=scene.directory.parent.parent, environment=environment_of(scene))


def environment_of(scene: Scene) -> dict[str, str]:
    return {
        "COURSEPAY_KAFKA_BOOTSTRAP_SERVERS": scene.settings.required_bootstrap_servers(),
        "COURSEPAY_DATABASE_URL": scene.database_url,
        "COURSEPAY_KAFKA_TOPIC_PREFIX": scene.settings.kafka_topic_prefix,
        "COURSEPAY_PUSH_URL": scene.system.sandbox_url,
        "COURSEPAY_STATE_DIRECTORY": str(scene.settings.state_directory),
    }


def lines_with(scene: Scene, service: str, text: str) -> int:
    return (scene.directory / f"{service}.log").read_text(encoding="utf-8").count(text)


async def test_a_producer_of_poison(scene: Scene) -> None:
    async with poison(scene):
        await eventually(
            lambda: lines_with(scene, "purchase-worker", '"outcome":"dead"') >= 5, within_s=60, every_s=0.5
        )
    told = await follow(scene, *page_of("CoursepayNewDeadLetters"), WORKER="purchase-worker")
    assert "poison" in told
    # One of them whole: where it lay, what is wrong with it, how it begins.
    assert re.search(r"undecodable +│ \w+", told), told
    assert re.search(r"value_begins +│ b'", told), told
    assert re.search(r"header origin-topic +│ \S*payment.succeeded", told), told
    assert "header origin-timestamp-ms" in told


async def test_a_constraint_that_fails(scene: Scene) -> None:
    async with scene.world() as world:
        await world.connection.execute(REFUSE)
    await scene.pay("thirty", 6, purchase_tier=30)

    await eventually(lambda: lines_with(scene, "purchase-worker", "only_tens") >= 5, within_s=60, every_s=0.5)
    told = await follow(scene, *page_of("CoursepayPurchaseFailures"))
    async with scene.world() as world:
        await world.connection.execute("ALTER TABLE student_course_purchases DROP CONSTRAINT only_tens")
    assert "CheckViolationError" in told
    assert "only_tens" in told
    assert re.search(r"event purchase_tier +│ 30", told), told


async def test_a_push_service_that_is_dead(scene: Scene) -> None:
    async with dead_push_service(scene):
        await scene.pay("student", 3)

        await eventually(lambda: lines_with(scene, "notifier", '"outcome":"paused"') >= 1, within_s=60, every_s=0.5)
        told = await follow(scene, *page_of("CoursepayCircuitOpen"))
    assert "Connection refused" in told or "connect" in told
    assert '"dependency":"push_service"' in told
    assert "notifier: 0 dead letters" in told


async def test_a_restored_database_is_brought_up_and_recounted(scene: Scene) -> None:
    async with scene.world() as world:
        await world.connection.execute(
            "UPDATE trainers SET load_minutes = load_minutes + 60 WHERE trainer_id = 'trainer-1'"
        )
    told = await follow(scene, "runbook.md", "Restoring from a backup")
    assert "1 trainers corrected" in told, told


async def test_a_profile_of_a_running_service_is_taken_from_outside(scene: Scene) -> None:
    worker = scene.system.children["purchase-worker"]
    await follow(scene, "operations.md", "Where the time goes", PID=str(worker.pid))
    profile = scene.directory.parent.parent / "profile.txt"
    assert "services/engine" in profile.read_text(), profile.read_text()[:1000]


async def test_the_tour_breaks_something_and_it_heals(scene: Scene) -> None:
    before = lines_with(scene, "notifier", '"outcome":"ok"')
    breaks, *looks, mends, finds, lists = commands_of("../README.md", "A tour in ten minutes")[-6:]
    assert '"errorRate": 1.0' in (await types(scene, breaks)).replace(": 1}", ": 1.0}")
    await scene.pay("tourist", 2)

    async def holds_still() -> bool:
        told = "".join([await types(scene, look) for look in looks])
        assert re.search(r'worker_paused{reason="dependency",worker="notifier"} 1.0', told), told
        return True

    await eventually(holds_still, within_s=90, every_s=1)
    await types(scene, mends)
    await eventually(lambda: lines_with(scene, "notifier", '"outcome":"ok"') > before, within_s=90, every_s=0.5)
    assert '"stage":"notification"' in await types(scene, finds)
    assert "notifier" in await types(scene, lists)


async def test_staff_hire_somebody_for_who_waits_and_send_them_away(scene: Scene) -> None:
    waiting, leaves = (commands_of("staff.md", heading) for heading in STAFF)
    lists, hires = waiting[:3], waiting[3:]
    await scene.pay("night", 1, schedule=schedule(time_slot="03:00"))

    async def waits() -> bool:
        async with scene.world() as world:
            return bool(await world.connection.fetchval(NIGHT) == "pending")

    await eventually(waits, within_s=60, every_s=0.5)
    told = await types(scene, *lists)
    assert '"reason":"slot"' in told, told
    told = await types(scene, *lists, *hires, *leaves)
    # The worker may have been quicker.
    assert re.search(r'"status":"approved","trainerId":"night-owl"|already-decided', told), told
    assert '"departureId"' in told, told

    async def report_is_full() -> bool:
        report = await types(scene, hires[0], leaves[1])
        assert re.search(r'"pending":1\b', report), report
        return '"finishedAt":null' not in report

    await eventually(report_is_full, within_s=60, every_s=1)
    assert await waits()


async def test_staff_see_which_purchases_lack_a_date(scene: Scene) -> None:
    (line,) = commands_of("staff.md", "Sessions without a date")
    async with scene.world() as world:
        await world.buy("ord_short", student="short")
        short = "UPDATE trainer_allocations SET reason = '{\"shortfall\": 2}' WHERE student_id = 'short'"
        await world.connection.execute(short)
        (found,) = await world.connection.fetch(line.split('"')[3])
    assert (found["order_id"], found["student_id"], found["missing"]) == ("ord_short", "short", "2")


async def test_finance_records_what_it_sent_by_bank(scene: Scene) -> None:
    buys = commands_of("../README.md", "A tour in ten minutes")[:6]
    told = await types(scene, *buys, *commands_of("staff.md", "Money that the provider cannot send"))
    assert '"status":"partially_refunded","refundedMinor":1000,' in told, told


async def test_a_gateway_that_lost_its_rights(scene: Scene) -> None:
    async with gateway_without_its_rights(scene):
        told = await follow(scene, *page_of("CoursepayConfirmationsUnavailable"))
    assert "payments" in told, told


async def test_a_recount_that_may_not_read(scene: Scene) -> None:
    async with blind_operations(scene):
        told = await follow(scene, *page_of("CoursepayForgottenUnwatched"))
    assert '"reason":"forgotten"' in told
    assert "permission denied for table tutoring_sessions" in told
