"""Where the replayed records of a run are by now, as Kafka tells: for what no table tells, such as poison, or a change
of a purchase that changed nothing.

A replayed record carries its run's id from tier to tier. A group's position never passes unfinished work, so a record
whose every copy lies behind the position was handled, or it is back among the dead letters, which are asked after this.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass

from services.common.settings import Settings
from services.common.topics import Topics
from services.engine.records import Partition
from services.operations.replay.choosing.letters import identity_of
from services.operations.replay.recovery import CLOCK_SLACK_MS
from services.operations.replay.runs import Run
from services.operations.replay.targets import ORIGIN
from services.operations.topic_reader import offsets_since, read_ends, read_positions, stream_records


@dataclass(frozen=True, slots=True, kw_only=True)
class Whereabouts:
    """Records by identity. `finished`: whoever handles them is through with them; `under_way`: not yet."""

    finished: frozenset[str] = frozenset()
    under_way: frozenset[str] = frozenset()


class Trail:
    """Of one run. Each look reads on from where the last one ended."""

    def __init__(self, settings: Settings, run: Run) -> None:
        topics = Topics.of(settings)
        self._settings = settings
        self._run_id = str(run.id)
        self._since_ms = int(run.started_at.timestamp() * 1000) - CLOCK_SLACK_MS
        self._groups: dict[str, Sequence[str]] = {topics.retry_group(run.worker): topics.tiers(run.worker)}
        if run.target == ORIGIN:
            self._groups[topics.group(run.worker)] = topics.sources(run.worker)
        self._read_to: dict[Partition, int] = {}
        self._copies: defaultdict[str, list[tuple[Partition, int]]] = defaultdict(list)

    async def look(self) -> Whereabouts:
        """Raises DependencyError when Kafka does not answer."""
        # Positions first: what was handed on to the next tier before that is found there.
        positions: dict[Partition, int] = {}
        for group, topics in self._groups.items():
            positions |= await read_positions(self._settings, group, topics)
        await self._read_on()
        finished = {
            identity
            for identity, copies in self._copies.items()
            if all(offset < positions.get(place, 0) for place, offset in copies)
        }
        return Whereabouts(finished=frozenset(finished), under_way=frozenset(self._copies.keys() - finished))

    async def _read_on(self) -> None:
        ranges = await self._ranges()
        async with aclosing(stream_records(self._settings, ranges)) as batches:
            async for batch in batches:
                for record in batch:
                    if record.header("replay-id") == self._run_id:
                        self._copies[identity_of(record)].append((record.place, record.offset))
        self._read_to |= {place: high for place, (_, high) in ranges.items()}

    async def _ranges(self) -> Mapping[Partition, tuple[int, int]]:
        names = [name for topics in self._groups.values() for name in topics]
        if not self._read_to:
            return await offsets_since(self._settings, names, max(0, self._since_ms))
        ends = await read_ends(self._settings, names)
        return {place: (max(low, self._read_to.get(place, low)), high) for place, (low, high) in ends.items()}
