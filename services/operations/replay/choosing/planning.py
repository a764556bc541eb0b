"""A filter resolved into a plan: read once, compared with what PostgreSQL knows, each record at most once."""

from collections import Counter
from collections.abc import Sequence
from contextlib import aclosing
from datetime import UTC, datetime

from services.common.codec import Codec
from services.common.database import Database
from services.common.settings import Settings
from services.common.topics import Topics
from services.operations.dead_letter_index import DeadLetterIndex
from services.operations.replay.choosing.filters import Filter
from services.operations.replay.choosing.letters import Letter
from services.operations.replay.choosing.plan import Plan, PlannedItem
from services.operations.replay.choosing.scanning import scan
from services.operations.replay.choosing.standing import Standing, standings
from services.operations.replay.refusals import RefusedError
from services.operations.replay.steady import steadily

_ASK_LETTERS = 1_000
_COPIES = "copies"


async def make_plan(settings: Settings, database: Database, codec: Codec, worker: str, chosen: Filter) -> Plan:
    """Brings the index up to date first. Raises BadFilterError, RefusedError, and RecordError kinds of the servers."""
    index = DeadLetterIndex(settings, database, codec)
    await steadily(index.update)
    draft = _Draft(chosen)
    topic = Topics.of(settings).dead_letters(worker)
    if topic in index.made_anew:
        # The decisions on record are about other letters.
        raise RefusedError(f"{topic} was deleted and made anew; put its old rows aside first (docs/runbook.md)")
    waiting: list[Letter] = []
    async with aclosing(scan(settings, codec, worker, chosen)) as letters:
        async for letter in letters:
            waiting.append(letter)
            if len(waiting) >= _ASK_LETTERS:
                await _judge(database, topic, waiting, draft)
                waiting = []
            if draft.is_full:
                break
    await _judge(database, topic, waiting, draft)
    return Plan(
        worker=worker,
        topic=topic,
        made_at=datetime.now(UTC).isoformat(timespec="milliseconds"),
        chosen=chosen,
        items=draft.items(),
        set_aside=dict(sorted(draft.set_aside.items())),
    )


async def _judge(database: Database, topic: str, letters: Sequence[Letter], draft: "_Draft") -> None:
    async with database.connection() as connection:
        known = await standings(connection, topic, [letter.place for letter in letters])
    for letter in letters:
        draft.add(letter, known[letter.place])


class _Draft:
    """The letters that will be in the plan, by what record they are."""

    def __init__(self, chosen: Filter) -> None:
        self._chosen = chosen
        self._items: dict[str, PlannedItem] = {}
        self.set_aside: Counter[str] = Counter()

    @property
    def is_full(self) -> bool:
        return self._chosen.limit is not None and len(self._items) >= self._chosen.limit

    def add(self, letter: Letter, standing: Standing) -> None:
        if self.is_full:
            return
        if reason := self._reason_against(standing):
            self.set_aside[reason] += 1
            return
        partition, offset = letter.place
        item = PlannedItem(
            partition=partition,
            offset=offset,
            digest=letter.digest,
            replay_count=letter.replay_count,
            done=standing.done,
        )
        other = self._items.get(letter.identity)
        if other is not None:
            self.set_aside[_COPIES] += 1
        # Of two letters of one record the one with the longer history counts: it knows how often it was replayed.
        if other is None or other.replay_count < item.replay_count:
            self._items[letter.identity] = item

    def items(self) -> tuple[PlannedItem, ...]:
        return tuple(sorted(self._items.values(), key=lambda item: (item.partition, item.offset)))

    def _reason_against(self, standing: Standing) -> str | None:
        """Why a letter is left alone; the index resolves what is done, and copies of a letter that it has seen."""
        if standing.status in self._chosen.statuses:
            return None
        if standing.status == "resolved":
            return None if standing.done and "unresolved" in self._chosen.statuses else _COPIES
        return standing.status
