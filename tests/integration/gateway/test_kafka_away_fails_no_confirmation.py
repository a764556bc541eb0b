"""A payment needs PostgreSQL, and nothing else: its event follows when Kafka is back."""

import asyncio
import time
from pathlib import Path

from services.common.breaker import CircuitState
from services.common.events import PaymentSucceeded
from services.common.settings import Settings
from services.engine.producer import open_producer
from services.gateway_api.publishing.relay import run_relay
from services.operations.topic_reader import read_topics
from services.sandbox.stack import Stack
from tests.support.books import outbox_events
from tests.support.checkout import confirm, pay
from tests.support.eventually import eventually
from tests.support.gateway import Gateway, add_course, place_order, running_gateway


async def test_confirm_answers_and_the_event_follows(stack: Stack, settings: Settings, tmp_path: Path) -> None:
    database_url = settings.database_url.get_secret_value()
    await add_course(database_url)
    drained = asyncio.Event()
    async with (
        running_gateway(
            database_url,
            tmp_path,
            kafka_bootstrap_servers=settings.kafka_bootstrap_servers,
            kafka_topic_prefix=settings.kafka_topic_prefix,
        ) as gateway,
        open_producer(gateway.settings, client_id="test") as producer,
        asyncio.TaskGroup() as tasks,
    ):
        tasks.create_task(run_relay(gateway.dependencies, producer, drained))
        stack.kafka.stop()
        try:
            await _pay_some(gateway)
            circuit = gateway.dependencies.metrics.circuit_state.labels("kafka")
            await eventually(lambda: circuit._value.get() != CircuitState.CLOSED, within_s=30)
            assert (await gateway.call("GET", "/health/ready"))[0] == 200
            assert not await outbox_events(database_url, published=True)
        finally:
            stack.kafka.start()

        async def all_published() -> bool:
            return len(await outbox_events(database_url, published=True)) == 10

        await eventually(all_published, within_s=60)
        drained.set()
    topic = gateway.dependencies.topics.main(PaymentSucceeded)
    records = await read_topics(settings, [topic])
    assert {record.key for record in records} == {
        event.order_id.encode() for event in await outbox_events(database_url)
    }


async def _pay_some(gateway: Gateway) -> None:
    for number in range(10):
        order = await place_order(gateway, key=f"key-{number}")
        fields = await pay(gateway, order)
        started = time.monotonic()
        assert (await confirm(gateway, fields))[0] == 200
        assert time.monotonic() - started < 2
