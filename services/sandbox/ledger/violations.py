"""What a broken rule looks like."""

from dataclasses import dataclass
from enum import StrEnum


class Check(StrEnum):
    """The questions that a ledger answers with a number, which must be 0."""

    LOST = "lost"
    DUPLICATED = "duplicated"
    DOUBLE_BOOKED = "double_booked"
    DIFFERENT = "different"
    EARLY = "early"
    UNFINISHED = "unfinished"


@dataclass(frozen=True, slots=True, kw_only=True)
class Violation:
    """`order_id` is None when no order can be named."""

    check: Check
    order_id: str | None
    what: str
