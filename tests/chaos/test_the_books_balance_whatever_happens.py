"""Real payments through real services while a seed's faults strike: nothing lost, doubled, early or left unfinished.

A failure names its seed, tells what happened when, and how to repeat it.
"""

from dataclasses import dataclass
from pathlib import Path

import pytest

from services.sandbox.demo.system import System
from services.sandbox.stack import Stack
from services.sandbox.stack.given import GivenServer
from tests.support.chaos.deck import FAULTS, KAFKA, POSTGRESQL, deal
from tests.support.chaos.proxy import Proxy, behind, port_in, proxy_to
from tests.support.chaos.storm import Storm
from tests.support.demo import assert_balanced, plan_of, shown_on

pytestmark = pytest.mark.chaos


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    payments: int
    rate: float
    faults: int


QUICK = Size(payments=50, rate=10, faults=3)
THOROUGH = Size(payments=150, rate=10, faults=FAULTS)


@pytest.mark.timeout(600)
async def test_under_the_faults_of_a_seed(
    own_stack: Stack,
    proxied_kafka_port: int,
    tmp_path: Path,
    seed: int,
    thorough: bool,  # noqa: FBT001 - a fixture
) -> None:
    size = THOROUGH if thorough else QUICK
    plan = plan_of(payments=size.payments, rate=size.rate, seed=seed)
    faults = deal(seed, faults=size.faults)
    async with (
        proxy_to(port_in(own_stack.kafka_bootstrap_servers), own_port=proxied_kafka_port) as kafka,
        proxy_to(port_in(own_stack.database_url)) as postgres,
    ):
        storm = Storm(stack=own_stack, proxies={KAFKA: kafka, POSTGRESQL: postgres}, seed=seed)

        async def rage(system: System) -> None:
            await storm.rage(system, faults, duration_s=plan.duration_s)

        try:
            shown = await shown_on(_behind_proxies(own_stack, kafka, postgres), tmp_path, plan, meanwhile=rage)
            assert_balanced(shown, plan)
            # Honest answers: confirmed, or asked to come again; 0 is a gateway that was not there.
            assert set(shown.ledger.answers) <= {0, 200, 202, 503}
            assert not storm.unexplained, "; ".join(storm.unexplained)
        except BaseException as error:
            lines = [f"seed {seed}; to repeat it: make chaos SEED={seed}; logs in {tmp_path}", *storm.diary]
            error.add_note("\n".join(lines))
            raise
        finally:
            (tmp_path / "diary.txt").write_text("\n".join(storm.diary))


def _behind_proxies(stack: Stack, kafka: Proxy, postgres: Proxy) -> Stack:
    return Stack(
        kafka=GivenServer(KAFKA, behind(stack.kafka_bootstrap_servers, kafka)),
        postgres=GivenServer(POSTGRESQL, behind(stack.database_url, postgres)),
    )
