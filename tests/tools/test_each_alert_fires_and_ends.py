"""An alert that was never seen is a guess. Each one of the rules is seen here: its trouble is caused on the real
system, a real Prometheus with the committed rules (shorter times, see tests/support/alerts/rules.py) fires it, and
once the trouble has ended, nothing fires any more.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from pathlib import Path

import pytest

from services.common.settings import Settings
from services.sandbox.stack import Stack, temporary_stack
from tests.support.alerts import money, people, records, servers
from tests.support.alerts.rules import all_alerts, write_faster_rules
from tests.support.alerts.scene import Scene, scene_on
from tests.support.eventually import eventually
from tests.support.prometheus import Prometheus, prometheus_beside

pytestmark = pytest.mark.tools

Trouble = Callable[[Scene], AbstractAsyncContextManager[None]]
Act = dict[Trouble, set[str]]
# Troubles at the same time, in acts one after the other: each trouble with the alerts that it must fire.
ACTS: dict[str, Act] = {
    "records fail": {
        servers.blind_operations: {"CoursepayForgottenUnwatched", "CoursepayLoopStale"},
        records.dead_push_service: {"CoursepayCircuitOpen"},
        records.failing_assignments: {
            "CoursepayAssignmentFailures",
            "CoursepayAssignmentBudgetFast",
            "CoursepayAssignmentBudgetSlow",
        },
        records.failing_purchases: {
            "CoursepayPurchaseFailures",
            "CoursepayPurchaseBudgetFast",
            "CoursepayPurchaseBudgetSlow",
            "CoursepayRetryBacklog",
        },
        records.poison: {"CoursepayNewDeadLetters"},
        records.dead_letter_topic_made_anew: {"CoursepayDeadLetterTopicMadeAnew"},
    },
    "people wait": {
        people.course_without_trainers: {"CoursepayAssignmentsPending", "CoursepayPendingTooLong"},
        people.trainer_given_to_the_wrong_one: {"CoursepayAssignmentSuccessLow"},
        people.wrong_counters_and_a_forgotten_student: {
            "CoursepayLoadDrift",
            "CoursepayPaidAndNotTaught",
            "CoursepayProgressDrift",
            "CoursepayPurchaseForgotten",
        },
        people.gateway_that_freezes: {
            "CoursepayConfirmationSlow",
            "CoursepayConfirmationBudgetFast",
            "CoursepayConfirmationBudgetSlow",
        },
        money.payments_that_no_rule_settles: {
            "CoursepayCaptureWithoutOrder",
            "CoursepayPaymentsInReview",
            "CoursepayPaymentTaskGivenUp",
        },
        money.providers_that_are_not_compared: {"CoursepayProviderNotCompared"},
        servers.killed_worker: {"CoursepayServiceAbsent", "CoursepayConsumerBehind"},
        # The last of them: the others ask the gateway, and it loses what it confirms with.
        servers.gateway_without_its_rights: {"CoursepayConfirmationsUnavailable"},
    },
    "Kafka is away": {servers.kafka_away: {"CoursepayOutboxStuck", "CoursepayHandoffFailures"}},
    "PostgreSQL is away": {
        records.letters_that_nobody_reads: {"CoursepayDeadLettersUnresolved"},
        servers.stuck_poll_loop: {"CoursepayPollLoopStuck"},
        servers.postgresql_away: {"CoursepayWorkerPaused", "CoursepayRetryOverdue", "CoursepaySamplerStale"},
    },
}
FIRES_WITHIN_S = 60.0
ENDS_WITHIN_S = 120.0


@pytest.fixture
def own_stack(tmp_path: Path) -> Iterator[Stack]:
    """Servers that nobody else uses, since they are stopped."""
    settings = Settings.from_environment(kafka_bootstrap_servers=None, database_url="")
    with temporary_stack(settings, tmp_path / "stack") as stack:
        yield stack


def test_every_alert_has_a_trouble() -> None:
    caused = [alert for act in ACTS.values() for alerts in act.values() for alert in alerts]

    assert sorted(caused) == sorted(all_alerts())


async def play(act: Act, scene: Scene, prometheus: Prometheus) -> None:
    wanted = set().union(*act.values())

    async def all_were_seen() -> bool:
        missing = wanted - await prometheus.fired()
        assert not missing, f"not seen firing: {sorted(missing)}"
        return True

    async with AsyncExitStack() as troubles:
        for trouble in act:
            await troubles.enter_async_context(trouble(scene))
        await eventually(all_were_seen, within_s=FIRES_WITHIN_S, every_s=0.5)


async def nothing_fires(prometheus: Prometheus) -> bool:
    firing = await prometheus.firing()
    assert not firing, firing
    return True


@pytest.mark.timeout(600)
async def test_each_alert_fires_in_its_trouble_and_ends_with_it(own_stack: Stack, tmp_path: Path) -> None:
    rules = write_faster_rules(tmp_path / "rules")
    async with (
        scene_on(own_stack, tmp_path) as scene,
        prometheus_beside(scene.system, tmp_path / "prometheus", rules=rules) as prometheus,
    ):
        await eventually(lambda: nothing_fires(prometheus), within_s=30, every_s=0.5)
        assert not await prometheus.fired() - {"CoursepayServiceAbsent"}
        for act in ACTS.values():
            await play(act, scene, prometheus)
        assert await prometheus.fired() == all_alerts()
        await eventually(lambda: nothing_fires(prometheus), within_s=ENDS_WITHIN_S, every_s=0.5)
