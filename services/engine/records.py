"""A record as it lies in Kafka, and one as it is sent there. No client, no business."""

from dataclasses import dataclass

Header = tuple[str, bytes | None]
# (topic, partition number)
Partition = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Record:
    """As it was read. `timestamp_ms` is the producer's or the broker's, as the topic is set."""

    topic: str
    partition: int
    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None
    headers: tuple[Header, ...]

    @property
    def place(self) -> Partition:
        return self.topic, self.partition

    @property
    def size_bytes(self) -> int:
        return len(self.key or b"") + len(self.value or b"") + sum(len(n) + len(v or b"") for n, v in self.headers)

    def header(self, name: str) -> str | None:
        """The first header of this name as text; None when it is absent or no UTF-8."""
        for found, value in self.headers:
            if found == name:
                try:
                    return None if value is None else value.decode()
                except UnicodeDecodeError:
                    return None
        return None

    def number(self, name: str) -> int | None:
        """A header that holds a whole number in decimal digits, as ours do; None for anything else."""
        text = self.header(name)
        return int(text) if text is not None and text.isascii() and text.isdigit() and len(text) <= 18 else None


@dataclass(frozen=True, slots=True, kw_only=True)
class OutgoingRecord:
    """To be sent. The key decides the partition, as Java's clients would."""

    topic: str
    key: bytes | None
    value: bytes | None
    headers: tuple[Header, ...] = ()
