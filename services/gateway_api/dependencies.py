"""What the gateway's routes work with, made once in __main__ and passed to each module's `routes()`."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field

import aiohttp

from services.common.codec import Codec
from services.common.database import Database
from services.common.metrics import Metrics
from services.common.settings import Settings
from services.common.topics import Topics
from services.gateway_api.providers import Provider


@dataclass(frozen=True, slots=True, kw_only=True)
class Dependencies:
    """`providers` holds only those that are switched on. `outbox_written` wakes the relay after a commit."""

    settings: Settings
    database: Database
    codec: Codec
    topics: Topics
    metrics: Metrics
    http: aiohttp.ClientSession
    providers: Mapping[str, Provider]
    outbox_written: asyncio.Event = field(default_factory=asyncio.Event)
