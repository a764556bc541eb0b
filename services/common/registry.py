"""The codec that a process starts with: ids from schemas/ids.json, or from a Confluent-compatible registry by URL.

With SCHEMA_REGISTRY_URL every released schema must be registered there under `<topic>-value`; the registry's ids are
used in frames instead of ours. The registry is asked at start only: handling never depends on it, and an id that
appears later is transient until a restart (see Codec.decode).
Source: Confluent Schema Registry API, `POST /subjects/(subject)`.
"""

import aiohttp
import orjson
from tenacity import AsyncRetrying, retry_if_exception_type, stop_after_delay, wait_exponential_jitter

from services.common.codec import SCHEMAS_DIRECTORY, Codec, load_codec, snake_case
from services.common.errors import ConfigurationError, DependencyError
from services.common.limits import HTTP_BODY_BYTES_MAX, HTTP_CALL_S, REGISTRY_START_S
from services.common.settings import Settings
from services.common.topics import TYPE_TOPICS


async def open_codec(settings: Settings) -> Codec:
    """Raises ConfigurationError when the registry lacks a released schema, DependencyError when it stays away for
    REGISTRY_START_S seconds.
    """
    codec = load_codec()
    if settings.schema_registry_url is None:
        return codec
    timeout = aiohttp.ClientTimeout(total=HTTP_CALL_S)
    async with aiohttp.ClientSession(base_url=settings.schema_registry_url, timeout=timeout) as http:
        ids = {key: await _registered_id(http, settings.kafka_topic_prefix, *key) for key in codec.released}
    return codec.with_ids(ids)


async def _registered_id(http: aiohttp.ClientSession, prefix: str, event_type: str, version: int) -> int:
    subject = f"{prefix}{TYPE_TOPICS[event_type]}-value"
    schema = (SCHEMAS_DIRECTORY / snake_case(event_type) / f"{version}.avsc").read_text()
    tries = AsyncRetrying(
        retry=retry_if_exception_type((aiohttp.ClientConnectionError, TimeoutError)),
        stop=stop_after_delay(REGISTRY_START_S),
        wait=wait_exponential_jitter(multiplier=0.2, max=5.0),
        reraise=True,
    )
    try:
        async for attempt in tries:
            with attempt:
                return await _look_up(http, subject, schema)
    except (aiohttp.ClientError, TimeoutError, ValueError) as error:
        raise DependencyError(f"schema registry: {error!r}", dependency="schema_registry") from error
    raise AssertionError("tenacity returns or raises")


async def _look_up(http: aiohttp.ClientSession, subject: str, schema: str) -> int:
    async with http.post(f"/subjects/{subject}", json={"schema": schema, "schemaType": "AVRO"}) as response:
        body = await response.content.read(HTTP_BODY_BYTES_MAX)
        if response.status == 404:
            raise ConfigurationError(
                f"the schema registry does not have the released schema of {subject}; register it before starting"
            )
        response.raise_for_status()
    found = orjson.loads(body)
    try:
        return int(found["id"])
    except (TypeError, KeyError) as error:
        raise ValueError(f"no id for {subject}") from error
