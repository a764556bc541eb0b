"""The enrollment of old, switched off: 410 to every method, with where to go instead.

Headers: RFC 9745 (Deprecation), RFC 8594 (Sunset), RFC 8288 (Link). A 410 is cacheable by default, so how long is
said. Callers must take it as final and go on: an old caller that broke off here never assigned a trainer.
"""

from datetime import UTC, datetime
from email.utils import format_datetime

from aiohttp import web

from services.gateway_api.web.problems import Problem

_DEPRECATED_SINCE = datetime(2025, 1, 1, tzinfo=UTC)
_GONE_SINCE = datetime(2025, 7, 1, tzinfo=UTC)
_SUCCESSOR = "/api/v1/orders"
HEADERS = {
    "Deprecation": f"@{int(_DEPRECATED_SINCE.timestamp())}",
    "Sunset": format_datetime(_GONE_SINCE, usegmt=True),
    "Link": f'<{_SUCCESSOR}>; rel="successor-version", </problems/gone>; rel="deprecation"',
    "Cache-Control": "max-age=3600",
}


def routes() -> list[web.RouteDef]:
    async def refuse(_request: web.Request) -> web.Response:
        raise Problem(
            "gone",
            410,
            "Enrollments are made by payments",
            "A confirmed payment creates the purchase; do not repeat this call.",
            headers=HEADERS,
            successor=_SUCCESSOR,
        )

    return [web.route("*", "/api/v1/enrollments", refuse), web.route("*", "/api/v1/enrollments/{rest:.*}", refuse)]
