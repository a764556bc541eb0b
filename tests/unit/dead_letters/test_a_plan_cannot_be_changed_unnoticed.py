import orjson
import pytest

from services.operations.replay.choosing.filters import Filter
from services.operations.replay.choosing.plan import Plan, PlannedItem, read_plan
from services.operations.replay.refusals import BadFilterError, RefusedError

PLAN = Plan(
    worker="purchase-worker",
    topic="purchase-worker.dlq",
    made_at="2026-11-25T10:00:00.000+00:00",
    chosen=Filter(kind="transient"),
    items=(
        PlannedItem(partition=0, offset=4, digest="ab", replay_count=0, done=False),
        PlannedItem(partition=1, offset=2, digest="cd", replay_count=2, done=True),
    ),
    set_aside={"replayed": 3},
)


def test_a_file_holds_all_of_it() -> None:
    assert read_plan(PLAN.to_bytes()) == PLAN


def test_the_same_plan_has_the_same_digest() -> None:
    assert read_plan(PLAN.to_bytes()).sha256 == PLAN.sha256
    assert len(PLAN.sha256) == 64


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("worker", "notifier"),
        ("topic", "notifier.dlq"),
        ("filter", {"kind": "poison", "statuses": ["unresolved"]}),
        ("items", [[0, 4, "ab", 0, False]]),
        ("items", [[0, 4, "ab", 0, False], [1, 2, "cd", 0, True]]),
        ("items", [[0, 4, "ab", 0, False], [1, 2, "cd", 2, False]]),
        ("made_at", "2026-11-26"),
        ("plan_sha256", "0" * 64),
    ],
)
def test_an_edited_file_is_refused(name: str, value: object) -> None:
    body = orjson.loads(PLAN.to_bytes())
    with pytest.raises(RefusedError, match="changed"):
        read_plan(orjson.dumps({**body, name: value}))


@pytest.mark.parametrize("content", [b"", b"{}", b"[]", b"null", b"\xff", b'{"version": 2}', b'{"items": 3}'])
def test_what_is_no_plan_is_a_usage_error(content: bytes) -> None:
    with pytest.raises(BadFilterError):
        read_plan(content)
