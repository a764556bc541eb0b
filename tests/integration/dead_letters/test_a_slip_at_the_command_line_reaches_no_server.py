import pytest

from services.common.settings import Settings
from tests.support.dead_letters import WORKER, run_dlq

# Nothing listens there: what is noticed first is the slip.
NOWHERE = Settings(kafka_bootstrap_servers="127.0.0.1:1", database_url="postgresql://nobody@127.0.0.1:1/none")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("replay",), "WORKER with filters, or --plan FILE, or --resume RUN"),
        (("replay", "payroll-worker"), "the workers are"),
        (("replay", WORKER, "--execute"), "--reason is required"),
        (("replay", WORKER, "--execute", "--reason", "  "), "--reason is required"),
        (("replay", WORKER, "--to", "origin"), "--every-subscriber"),
        (("replay", WORKER, "--to", "somewhere"), "--to is one of"),
        (("replay", WORKER, "--stop-on", "sadness"), "--stop-on"),
        (("replay", WORKER, "--where", "().__class__"), "--where does not allow"),
        (("replay", WORKER, "--rate", "0"), "--rate"),
        (("replay", "--resume", "ab", "--kind", "poison"), "the list is frozen"),
        (("plan", WORKER, "--kind", "sad"), "--kind is one of"),
        (("plan", WORKER, "--from-time", "noon"), "is no time"),
        (("plan", WORKER, "--from-offset", "9", "--to-offset", "3"), "--from-offset is not before"),
        (("show", WORKER, "3"), "PARTITION:OFFSET"),
        (("stats", WORKER, "--status", "parked"), "--status is for"),
        (("park", WORKER, "--reason", "x"), "--all"),
        (("discard", WORKER, "--kind", "poison"), "--reason is required"),
    ],
)
async def test_it_is_exit_code_2_and_one_sentence(arguments: tuple[str, ...], says: str) -> None:
    ran = await run_dlq(NOWHERE, *arguments)
    assert ran.code == 2
    assert says in ran.errors
    assert "Traceback" not in ran.errors
