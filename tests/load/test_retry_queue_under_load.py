"""A third of a thousand payments fail once, some for good: each is tried as often as it should, none early or twice."""

from collections import Counter
from collections.abc import Sequence

from services.common.database import Transaction
from services.common.errors import TransientError
from services.common.events import PaymentSucceeded
from services.common.settings import Settings
from services.common.topic_admin import apply_topics
from services.engine.outcomes import Batched, Done, Outcome, Retry
from tests.support.engine import dead_letters, handled, is_idle, make_table, on_tier, put, record_of, running_worker
from tests.support.events import payment_succeeded
from tests.support.eventually import eventually

PAYMENTS, FAILING_ONCE, FAILING_ALWAYS = 1000, 330, 8
DELAYS_MS = {"300ms": 300, "600ms": 600, "900ms": 900}
_INSERT = """
    INSERT INTO handled (order_id) SELECT unnest($1::text[]) ORDER BY 1
    ON CONFLICT (order_id) DO UPDATE SET times = handled.times + 1
"""


class Handler:
    """Writes down what it handles; the order's number says how often it fails before."""

    def __init__(self) -> None:
        self.tries: Counter[str] = Counter()

    async def handle(self, events: Sequence[PaymentSucceeded], transaction: Transaction) -> Sequence[Outcome]:
        outcomes = [self._judge(event.order_id) for event in events]
        done = [event.order_id for event, outcome in zip(events, outcomes, strict=True) if isinstance(outcome, Done)]
        await transaction.execute(_INSERT, done)
        return outcomes

    def _judge(self, order_id: str) -> Outcome:
        self.tries[order_id] += 1
        number = int(order_id.removeprefix("ord_"))
        if number < FAILING_ALWAYS or (number < FAILING_ALWAYS + FAILING_ONCE and self.tries[order_id] == 1):
            return Retry(TransientError("not now"))
        return Done()


async def test_every_failure_waits_its_time_and_nothing_is_lost(settings: Settings) -> None:
    chosen = settings.model_copy(update={"retry_delays": ",".join(DELAYS_MS)})
    await apply_topics(chosen)
    await make_table(chosen.required_database_url())
    handler = Handler()
    await put(chosen, *(record_of(chosen, payment_succeeded(f"ord_{number}")) for number in range(PAYMENTS)))

    async with running_worker(chosen, Batched({PaymentSucceeded: handler.handle})):

        async def everything_ended() -> bool:
            return len(await dead_letters(chosen)) == FAILING_ALWAYS and await is_idle(chosen)

        await eventually(everything_ended, within_s=90, every_s=0.5)

    good = {f"ord_{number}": 1 for number in range(FAILING_ALWAYS, PAYMENTS)}
    assert await handled(chosen.required_database_url()) == good
    assert {letter.key for letter in await dead_letters(chosen)} == {
        f"ord_{number}".encode() for number in range(FAILING_ALWAYS)
    }
    first, second, third = [await on_tier(chosen, tier) for tier in DELAYS_MS]
    assert len(first) == FAILING_ONCE + FAILING_ALWAYS
    assert len(second) == len(third) == FAILING_ALWAYS
    due_ms = {record.key: int(record.header("retry-due-ms") or 0) for record in first}
    for record in second:
        assert int(record.header("last-failed-ms") or 0) >= due_ms[record.key]
