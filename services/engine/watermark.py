"""How far a partition is finished: the lowest offset that is not. Pure."""

from collections import Counter, deque


class Watermark:
    """Of one partition in one generation. Records finish in any order; `position` never passes an unfinished one."""

    def __init__(self) -> None:
        self._unfinished: deque[int] = deque()
        self._finished: set[int] = set()
        self._of_cut_log: Counter[int] = Counter()
        self._next: int | None = None

    @property
    def position(self) -> int | None:
        """What to commit: everything below it is finished. None when nothing was tracked yet."""
        return self._unfinished[0] if self._unfinished else self._next

    def track(self, offset: int) -> None:
        """In the order of polling. Gaps (compaction, transaction marks) are no records and hold nothing up."""
        if self._next is not None and offset < self._next:
            # The log was cut off and the client started at its beginning: offsets count anew. One that is in flight
            # from before as well is finished when both are.
            self._of_cut_log.update(offset for offset in self._unfinished if offset not in self._finished)
            self._unfinished.clear()
            self._finished.clear()
        self._unfinished.append(offset)
        self._next = offset + 1

    def finish(self, offset: int) -> None:
        if self._of_cut_log[offset]:
            self._of_cut_log[offset] -= 1
            return
        self._finished.add(offset)
        while self._unfinished and self._unfinished[0] in self._finished:
            self._finished.discard(self._unfinished.popleft())
