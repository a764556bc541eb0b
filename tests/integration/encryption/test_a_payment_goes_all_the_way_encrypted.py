"""Gateway, relay, workers, sampler, migrations, topics: no client of ours needs a server that takes plain text."""

from services.common.settings import Settings
from services.common.topic_admin import apply_topics, check_topics
from services.operations.backlog import measure_backlog
from services.operations.migrations import migrate
from tests.support.eventually import eventually
from tests.support.staff import put_trainer
from tests.support.whole_system import whole_system

_OPEN = """
SELECT count(*) FILTER (WHERE ssl) AS encrypted, count(*) AS every
  FROM pg_stat_ssl JOIN pg_stat_activity USING (pid)
 WHERE client_port > 0
"""


async def test_a_paid_order_gets_its_trainer(encrypted: Settings) -> None:
    await migrate(encrypted.required_database_url())
    await apply_topics(encrypted)
    assert await check_topics(encrypted) == []

    kafka = {name: value for name, value in encrypted if name.startswith(("kafka_sasl", "kafka_ssl", "kafka_security"))}
    async with whole_system(encrypted, **kafka) as system:
        await put_trainer(system.gateway)
        order_id = await system.buy(key="key-1")

        async def has_trainer() -> bool:
            told = await system.ask(f"/api/v1/payments/{order_id}")
            return bool(told["allocation"] and told["allocation"]["status"] == "approved")

        await eventually(has_trainer, within_s=90)
        (connections,) = await system.fetch(_OPEN)
        assert connections["every"] == connections["encrypted"] > 1

        async def nothing_is_left() -> bool:
            return not sum((await measure_backlog(encrypted)).lag.values())

        await eventually(nothing_is_left, within_s=60)
