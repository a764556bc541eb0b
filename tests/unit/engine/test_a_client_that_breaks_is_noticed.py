"""A send ends with an error when nothing can answer it any more; a probe says no instead of raising."""

import asyncio

import asyncpg
import pytest
import structlog
from confluent_kafka import Producer as Client

from services.common.database import Database
from services.common.errors import DependencyError
from services.common.kafka_config import producer_config
from services.common.settings import Settings
from services.engine.producer import KafkaClientError, OutgoingRecord, Producer, open_producer

RECORD = OutgoingRecord(topic="t", key=b"k", value=b"v")
PATIENCE_S = 60


class FullDisk:
    """A standard output that takes nothing."""

    encoding = "utf-8"

    def write(self, _text: str) -> int:
        raise OSError(28, "No space left on device")

    def flush(self) -> None:
        raise OSError(28, "No space left on device")


def nowhere() -> Settings:
    return Settings.from_environment(kafka_bootstrap_servers="127.0.0.1:1")


async def test_a_log_that_cannot_be_written_leaves_the_producer_alive() -> None:
    before = structlog.get_config()
    full = structlog.PrintLoggerFactory(FullDisk())  # type: ignore[arg-type]
    structlog.configure(logger_factory=full, cache_logger_on_first_use=False)
    try:
        async with asyncio.timeout(PATIENCE_S), open_producer(nowhere(), "test") as producer:
            with pytest.raises(DependencyError):
                await producer.send(RECORD)
    finally:
        structlog.configure(**before)


async def test_a_producer_whose_thread_died_fails_what_is_in_flight_and_what_comes_after() -> None:
    dies = asyncio.Event()

    def fail(_error: object) -> None:
        if dies.is_set():
            raise MemoryError

    producer = Producer(Client({**producer_config(nowhere(), "test"), "error_cb": fail}))
    async with asyncio.timeout(PATIENCE_S):
        dies.set()
        # Unacknowledged it would raise DependencyError, after ten seconds.
        for _ in range(2):
            with pytest.raises(KafkaClientError, match="MemoryError"):
                await producer.send_all([RECORD, RECORD])


@pytest.mark.parametrize("error", [AttributeError("no protocol"), asyncpg.InternalClientError("half closed")])
async def test_a_probe_whose_connection_ends_under_it_says_no(
    error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Connection:
        async def fetchval(self, _query: str) -> bool:
            raise error

        def terminate(self) -> None:
            pass

    async def connect(**_: object) -> Connection:
        return Connection()

    async def refuse(**_: object) -> Connection:
        raise error

    database = Database(None, deadline_s=1, connect={})  # type: ignore[arg-type]
    for connecting in (connect, refuse):
        monkeypatch.setattr(asyncpg, "connect", connecting)
        assert not await database.probe(within_s=1)
