"""Cursor pages: `?limit=&cursor=` in, `{items, nextCursor}` out. A cursor is the last item's sort key, opaque."""

import base64
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

import orjson
from aiohttp import web

from services.common.database import Row
from services.gateway_api.limits import PAGE_ITEMS, PAGE_ITEMS_MAX
from services.gateway_api.web.reading import invalid

Item = TypeVar("Item")
_CURSOR_CHARACTERS_MAX = 400


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """`after_time`, `after_id`: the sort key of the last item seen, both None on the first page."""

    limit: int
    after_time: datetime | None
    after_id: str | None


def wanted_page(request: web.Request) -> Wanted:
    """Raises Problem 422 for a limit out of bounds or a cursor that we never gave."""
    cursor = request.query.get("cursor")
    after_time, after_id = _decode(cursor) if cursor is not None else (None, None)
    return Wanted(limit=_limit(request.query.get("limit")), after_time=after_time, after_id=after_id)


def cut(
    rows: Sequence[Row], wanted: Wanted, *, key: Callable[[Row], tuple[datetime, str]], item: Callable[[Row], Item]
) -> tuple[list[Item], str | None]:
    """(items, next cursor) from up to `wanted.limit + 1` rows: the one too many only tells that there are more."""
    shown = rows[: wanted.limit]
    more = len(rows) > wanted.limit
    return [item(row) for row in shown], _encode(*key(shown[-1])) if more else None


def _limit(text: str | None) -> int:
    if text is None:
        return PAGE_ITEMS
    limit = int(text) if text.isascii() and text.isdigit() and len(text) <= 6 else 0
    if not 1 <= limit <= PAGE_ITEMS_MAX:
        raise invalid(("limit", f"1 to {PAGE_ITEMS_MAX}"))
    return limit


def _encode(moment: datetime, item_id: str) -> str:
    return base64.urlsafe_b64encode(orjson.dumps([moment.isoformat(), item_id])).decode().rstrip("=")


def _decode(cursor: str) -> tuple[datetime, str]:
    try:
        padded = cursor[:_CURSOR_CHARACTERS_MAX] + "=" * (-len(cursor) % 4)
        moment, item_id = orjson.loads(base64.b64decode(padded, altchars=b"-_", validate=True))
        when = datetime.fromisoformat(moment)
        # PostgreSQL's range of times is not Python's, and no text of it holds U+0000.
        ours = when.tzinfo is not None and 1900 <= when.year <= 2900 and "\0" not in item_id
    except (ValueError, TypeError):
        ours = False
    if not ours:
        raise invalid(("cursor", "not a cursor of this list"))
    return when, item_id
