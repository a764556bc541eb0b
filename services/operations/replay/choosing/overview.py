"""How many dead letters there are and what they have in common.

Table: dead_letters (read only).
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from services.common.database import Database, Row
from services.common.settings import Settings
from services.common.topics import WORKERS, Topics
from services.operations.replay.choosing.letters import UNKNOWN, Letter
from services.operations.topic_reader import offsets_since, read_ends

_HOUR_MS = 3600 * 1000
_STATUSES = """
SELECT worker, status, count(*) AS count, min(dead_at) AS oldest
  FROM dead_letters WHERE topic = ANY ($1::text[]) GROUP BY worker, status
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Depth:
    """Of one worker. `records` lie in the topic, whatever was decided; `oldest_s`: of the unresolved."""

    worker: str
    topic: str
    records: int
    last_hour: int
    statuses: Mapping[str, int]
    oldest_s: float | None


@dataclass(kw_only=True)
class Group:
    """Letters with one fingerprint. `example`: where one of them lies, PARTITION:OFFSET, to be looked at."""

    error_class: str
    kind: str
    message: str
    first_ms: int
    last_ms: int
    example: str
    records: int = 0


@dataclass(kw_only=True)
class Histogram:
    """`by`: dimension -> value -> records."""

    records: int = 0
    groups: dict[str, Group] = field(default_factory=dict)
    by: dict[str, dict[str, int]] = field(default_factory=dict)

    def add(self, letter: Letter) -> None:
        at_ms = letter.record.timestamp_ms
        values = {
            "fingerprint": letter.fingerprint,
            "error_class": letter.error_class,
            "kind": letter.kind,
            "origin": letter.origin_topic or UNKNOWN,
            "hour": datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%dT%H:00Z"),
            "replay_count": str(letter.replay_count),
        }
        self.records += 1
        for dimension, value in values.items():
            counts = self.by.setdefault(dimension, {})
            counts[value] = counts.get(value, 0) + 1
        group = self.groups.setdefault(
            letter.fingerprint,
            Group(
                error_class=letter.error_class,
                kind=letter.kind,
                message=letter.error_message,
                first_ms=at_ms,
                last_ms=at_ms,
                example="{}:{}".format(*letter.place),
            ),
        )
        group.records += 1
        group.first_ms, group.last_ms = min(group.first_ms, at_ms), max(group.last_ms, at_ms)


async def depths(settings: Settings, database: Database) -> Sequence[Depth]:
    """Of every worker. The index of dead letters is up to date. Raises RecordError kinds."""
    topics = Topics.of(settings)
    names = {worker: topics.dead_letters(worker) for worker in WORKERS}
    now = datetime.now(UTC)
    ends = await read_ends(settings, list(names.values()))
    recent = await offsets_since(settings, list(names.values()), int(now.timestamp() * 1000) - _HOUR_MS)
    async with database.connection() as connection:
        rows = await connection.fetch(_STATUSES, list(names.values()))
    return [
        Depth(
            worker=worker,
            topic=topic,
            records=sum(high - low for (name, _), (low, high) in ends.items() if name == topic),
            last_hour=sum(high - low for (name, _), (low, high) in recent.items() if name == topic),
            statuses={row["status"]: row["count"] for row in rows if row["worker"] == worker},
            oldest_s=_oldest_s([row for row in rows if row["worker"] == worker], now),
        )
        for worker, topic in names.items()
    ]


async def histogram(letters: AsyncIterator[Letter]) -> Histogram:
    found = Histogram()
    async for letter in letters:
        found.add(letter)
    return found


def _oldest_s(rows: Sequence[Row], now: datetime) -> float | None:
    return next(((now - row["oldest"]).total_seconds() for row in rows if row["status"] == "unresolved"), None)
