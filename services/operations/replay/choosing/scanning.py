"""Reading dead letters: every one that a filter takes, or exactly the planned ones; batch by batch, never a group."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

from services.common.codec import Codec
from services.common.settings import Settings
from services.common.topics import Topics
from services.engine.records import Record
from services.operations.replay.choosing.filters import Filter, matcher
from services.operations.replay.choosing.letters import Letter, Place
from services.operations.replay.refusals import BadFilterError, RefusedError
from services.operations.topic_reader import offsets_since, read_ends, stream_records

# Planned letters farther apart than this are fetched separately instead of reading what lies between.
_GAP_OFFSETS = 2_000
Range = tuple[int, int]


async def scan(settings: Settings, codec: Codec, worker: str, chosen: Filter) -> AsyncGenerator[Letter, None]:
    """The letters that match, partition by partition in order, up to the end as of now: inflow cannot make it endless.

    Raises BadFilterError, RefusedError when the topic does not exist, DependencyError when Kafka does not answer.
    """
    topic = Topics.of(settings).dead_letters(worker)
    matches = matcher(chosen)
    ranges = await _ranges(settings, topic, chosen)
    for partition, (low, high) in sorted(ranges.items()):
        if low >= high:
            continue
        async with aclosing(stream_records(settings, {(topic, partition): (low, high)})) as batches:
            async for batch in batches:
                for record in batch:
                    letter = Letter(record, codec)
                    if matches(letter):
                        yield letter


async def scan_whatever_was_decided(
    settings: Settings, codec: Codec, worker: str, chosen: Filter
) -> AsyncGenerator[Letter, None]:
    """For looking only: up to the limit, without asking PostgreSQL. Raises BadFilterError for a choice of statuses."""
    if chosen.statuses != Filter().statuses:
        raise BadFilterError("--status is for plan, replay, park and discard; here every letter is read")
    count = 0
    async with aclosing(scan(settings, codec, worker, chosen)) as letters:
        async for letter in letters:
            yield letter
            count += 1
            if count == chosen.limit:
                return


async def read_planned(
    settings: Settings, topic: str, places: Sequence[Place]
) -> AsyncGenerator[tuple[Place, Record | None], None]:
    """The record at each place, in the order of `places` (sorted); None where Kafka has it no more."""
    for partition, offsets in _by_partition(places).items():
        for stretch in _stretches(offsets):
            wanted = iter(stretch)
            awaited: int | None = next(wanted)
            ranges = {(topic, partition): (stretch[0], stretch[-1] + 1)}
            async with aclosing(stream_records(settings, ranges)) as batches:
                async for batch in batches:
                    for record in batch:
                        while awaited is not None and awaited < record.offset:
                            yield (partition, awaited), None
                            awaited = next(wanted, None)
                        if awaited == record.offset:
                            yield (partition, awaited), record
                            awaited = next(wanted, None)
            while awaited is not None:
                yield (partition, awaited), None
                awaited = next(wanted, None)


async def _ranges(settings: Settings, topic: str, chosen: Filter) -> dict[int, Range]:
    ends = await read_ends(settings, [topic])
    if not ends:
        raise RefusedError(f"the topic {topic} does not exist; `coursepay topics apply` creates it")
    ranges = {partition: ends[topic, partition] for _, partition in ends}
    if chosen.from_time_ms is not None:
        since = await offsets_since(settings, [topic], chosen.from_time_ms)
        ranges = {partition: since[topic, partition] for partition in ranges}
    if chosen.to_time_ms is not None:
        until = await offsets_since(settings, [topic], chosen.to_time_ms)
        ranges = {partition: (low, min(high, until[topic, partition][0])) for partition, (low, high) in ranges.items()}
    low_min, high_max = chosen.from_offset or 0, chosen.to_offset
    return {
        partition: (max(low, low_min), high if high_max is None else min(high, high_max))
        for partition, (low, high) in ranges.items()
        if chosen.partition is None or partition == chosen.partition
    }


def _by_partition(places: Sequence[Place]) -> dict[int, list[int]]:
    offsets: dict[int, list[int]] = {}
    for partition, offset in places:
        offsets.setdefault(partition, []).append(offset)
    return offsets


def _stretches(offsets: Sequence[int]) -> list[list[int]]:
    stretches = [[offsets[0]]]
    for offset in offsets[1:]:
        if offset - stretches[-1][-1] > _GAP_OFFSETS:
            stretches.append([])
        stretches[-1].append(offset)
    return stretches
