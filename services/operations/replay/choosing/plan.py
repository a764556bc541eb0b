"""A plan: exactly these letters, frozen. Its digest covers everything that a replay will act on, so that neither an
edited file nor a topic that was made anew goes unnoticed.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from services.common.topics import WORKERS
from services.operations.replay.choosing.filters import Filter
from services.operations.replay.refusals import BadFilterError, RefusedError

VERSION = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedItem:
    """`digest`: of key and value; `done`: what it asked for was done already, so it is counted and not sent."""

    partition: int
    offset: int
    digest: str
    replay_count: int
    done: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """`items` by (partition, offset). `set_aside`: why others that match are not in it -> how many."""

    worker: str
    topic: str
    made_at: str
    chosen: Filter
    items: tuple[PlannedItem, ...]
    set_aside: Mapping[str, int] = field(default_factory=dict)

    @property
    def skipped_done(self) -> int:
        return sum(item.done for item in self.items)

    @property
    def sha256(self) -> str:
        return hashlib.sha256(orjson.dumps(self._body(), option=orjson.OPT_SORT_KEYS)).hexdigest()

    def to_bytes(self) -> bytes:
        return orjson.dumps({**self._body(), "plan_sha256": self.sha256}) + b"\n"

    def _body(self) -> dict[str, Any]:
        return {
            "version": VERSION,
            "worker": self.worker,
            "topic": self.topic,
            "made_at": self.made_at,
            "filter": self.chosen.to_json(),
            "set_aside": dict(self.set_aside),
            "items": [[item.partition, item.offset, item.digest, item.replay_count, item.done] for item in self.items],
        }


def read_plan(content: bytes) -> Plan:
    """Raises BadFilterError for what is no plan, RefusedError for one that was changed since it was made."""
    try:
        body = orjson.loads(content)
        if body["version"] != VERSION or body["worker"] not in WORKERS:
            raise BadFilterError("the plan is of another version, or of a worker that this release does not know")
        items = tuple(
            PlannedItem(partition=int(p), offset=int(o), digest=str(digest), replay_count=int(count), done=bool(done))
            for p, o, digest, count, done in body["items"]
        )
        plan = Plan(
            worker=body["worker"],
            topic=str(body["topic"]),
            made_at=str(body["made_at"]),
            chosen=Filter.from_json(body["filter"]),
            items=items,
            set_aside={str(why): int(count) for why, count in body["set_aside"].items()},
        )
        told = body["plan_sha256"]
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise BadFilterError(f"this is no plan that `coursepay dlq plan` wrote: {error}") from None
    if told != plan.sha256:
        raise RefusedError("the plan was changed after it was made; make a new one with `coursepay dlq plan`")
    return plan
