"""The manifest against a real cluster: create what is missing, name what differs."""

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._config import ConfigResource
from confluent_kafka.admin._resource import ResourceType
from confluent_kafka.cimpl import NewTopic

from services.common.errors import DependencyError
from services.common.kafka_config import Config, client_config
from services.common.settings import PREFIX, Settings
from services.common.topics import Topics, TopicSpec

_CALL_S = 20.0
_TRY_S = 2.0
# librdkafka gives up first, by its own timeout: a client that is dropped with a call under way may crash.
_RESULT_S = 30.0
Result = TypeVar("Result")
_LOOK_S = 0.05
# librdkafka's own errors have no other names.
_NOBODY_LEFT, _WHO = KafkaError._ALL_BROKERS_DOWN, KafkaError._AUTHENTICATION  # noqa: SLF001
_UNTRUSTED = "certificate verify failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class TopicDifference:
    """`what` is one sentence for an operator."""

    topic: str
    what: str


async def apply_topics(settings: Settings) -> list[str]:
    """Creates the topics of the manifest that are missing; returns their names. Existing ones are left as they are:
    `check_topics` names their differences. Raises DependencyError when the cluster does not answer.

    Returns once the cluster shows them all: a worker that subscribes to a pattern before that finds a new tier only
    when it next refreshes its metadata, half a minute later.
    """
    created = await asyncio.to_thread(_with_client, settings, _apply)
    deadline = time.monotonic() + _CALL_S
    while created and not await asyncio.to_thread(_shows, settings, created):
        if time.monotonic() > deadline:
            raise DependencyError("Kafka does not show the topics that it created", dependency="kafka")
        await asyncio.sleep(_LOOK_S)
    return created


async def check_topics(settings: Settings) -> list[TopicDifference]:
    """What differs between the manifest and the cluster. Raises DependencyError when the cluster does not answer."""
    return await asyncio.to_thread(_with_client, settings, _check)


async def delete_topics(settings: Settings) -> None:
    """Deletes the manifest's topics, for runs that made topics of their own. Raises ValueError without a prefix, so
    that it can never hit the real ones; DependencyError when the cluster does not answer.
    """
    if not settings.kafka_topic_prefix:
        raise ValueError("only topics with a prefix are deleted")
    await asyncio.to_thread(_with_client, settings, _delete)


def broker_answers(bootstrap_servers: str, within_s: float) -> bool:
    """Whether a metadata request is answered."""
    config: Config = {"bootstrap.servers": bootstrap_servers, "log_level": 0, "reconnect.backoff.max.ms": 200}
    with AdminClient(config) as client:
        try:
            client.list_topics(timeout=within_s)
        except KafkaException:
            return False
    return True


class _Trouble:
    """An `error_cb`. A call says only that nobody answered; what the client met on its way it tells here."""

    def __init__(self, settings: Settings) -> None:
        self._protocol = settings.kafka_security_protocol
        self._last: KafkaError | None = None

    def __call__(self, error: KafkaError) -> None:
        if error.code() != _NOBODY_LEFT:
            self._last = error

    @property
    def is_refusal(self) -> bool:
        """Asking again would change nothing."""
        return self._last is not None and (self._last.code() == _WHO or _UNTRUSTED in self._last.str())

    def told(self, error: KafkaError) -> str:
        last = self._last or error
        if _UNTRUSTED in last.str():
            return (
                f"the broker's certificate was refused: {PREFIX}KAFKA_SSL_CA_LOCATION does not vouch for it, or it is"
                f" for another name than that of {PREFIX}KAFKA_BOOTSTRAP_SERVERS ({last.str()})"
            )
        if last.code() == _WHO:
            return f"{PREFIX}KAFKA_SASL_USERNAME or {PREFIX}KAFKA_SASL_PASSWORD was refused ({last.str()})"
        return f"{last.str()} ({PREFIX}KAFKA_SECURITY_PROTOCOL is {self._protocol}; does the broker want another?)"


@contextmanager
def _client(settings: Settings) -> Iterator[AdminClient]:
    """Connected; closed at the end, because one that the garbage collector ends on a thread of librdkafka's aborts the
    process (confluent-kafka-python#2131). Raises DependencyError when Kafka does not answer.
    """
    trouble = _Trouble(settings)
    config: dict[str, Any] = {**client_config(settings, "coursepay-topics"), "error_cb": trouble}
    with AdminClient(config) as client:
        deadline = time.monotonic() + _CALL_S
        while True:
            try:
                client.list_topics(timeout=_TRY_S)
                break
            except KafkaException as error:
                # What it met is told from within this call.
                client.poll(0)
                if trouble.is_refusal or time.monotonic() > deadline:
                    why = trouble.told(error.args[0])
                    raise DependencyError(f"Kafka does not answer: {why}", dependency="kafka") from error
        yield client


def _with_client(settings: Settings, call: Callable[[AdminClient, Settings], Result]) -> Result:
    with _client(settings) as client:
        return call(client, settings)


def _apply(client: AdminClient, settings: Settings) -> list[str]:
    existing = _existing(client)
    missing = [spec for spec in Topics.of(settings).manifest() if spec.name not in existing]
    if not missing:
        return []
    futures = client.create_topics(
        [_new_topic(spec) for spec in missing], operation_timeout=_CALL_S, request_timeout=_CALL_S
    )
    created = []
    for name, future in futures.items():
        try:
            future.result(timeout=_RESULT_S)
            created.append(name)
        except KafkaException as error:
            # Somebody else created it meanwhile.
            if error.args[0].name() != "TOPIC_ALREADY_EXISTS":
                raise DependencyError(f"creating {name}: {error.args[0].str()}", dependency="kafka") from error
    return sorted(created)


def _shows(settings: Settings, names: list[str]) -> bool:
    with _client(settings) as client:
        return set(names) <= set(_existing(client))


def _delete(client: AdminClient, settings: Settings) -> None:
    existing = _existing(client)
    doomed = [spec.name for spec in Topics.of(settings).manifest() if spec.name in existing]
    for name, future in (
        client.delete_topics(doomed, operation_timeout=_CALL_S, request_timeout=_CALL_S).items() if doomed else ()
    ):
        try:
            future.result(timeout=_RESULT_S)
        except KafkaException as error:
            raise DependencyError(f"deleting {name}: {error.args[0].str()}", dependency="kafka") from error


def _check(client: AdminClient, settings: Settings) -> list[TopicDifference]:
    existing = _existing(client)
    specs = Topics.of(settings).manifest()
    present = [spec for spec in specs if spec.name in existing]
    configs = _configs(client, [spec.name for spec in present])
    differences = [TopicDifference(topic=spec.name, what="is missing") for spec in specs if spec.name not in existing]
    for spec in present:
        partitions = existing[spec.name]
        if partitions != spec.partitions:
            what = f"has {partitions} partitions instead of {spec.partitions}"
            differences.append(TopicDifference(topic=spec.name, what=what))
        for key, wanted in spec.config.items():
            found = configs[spec.name].get(key)
            if found != wanted:
                differences.append(TopicDifference(topic=spec.name, what=f"has {key}={found} instead of {wanted}"))
    return sorted(differences, key=lambda difference: difference.topic)


def _existing(client: AdminClient) -> Mapping[str, int]:
    try:
        metadata = client.list_topics(timeout=_CALL_S)
    except KafkaException as error:
        raise DependencyError(f"Kafka does not answer: {error.args[0].str()}", dependency="kafka") from error
    return {name: len(topic.partitions) for name, topic in metadata.topics.items()}


def _configs(client: AdminClient, names: list[str]) -> Mapping[str, Mapping[str, str]]:
    if not names:
        return {}
    futures = client.describe_configs(
        [ConfigResource(ResourceType.TOPIC, name) for name in names], request_timeout=_CALL_S
    )
    return {
        resource.name: {key: entry.value for key, entry in future.result(timeout=_RESULT_S).items()}
        for resource, future in futures.items()
    }


def _new_topic(spec: TopicSpec) -> NewTopic:
    return NewTopic(
        spec.name,
        num_partitions=spec.partitions,
        replication_factor=spec.replication_factor,
        config=dict(spec.config),
    )
