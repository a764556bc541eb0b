"""Errors of the HTTP API as RFC 9457 problems. Clients may switch on `type` only; nothing internal is told."""

from collections.abc import Mapping

import orjson
from aiohttp import web

TYPE_PREFIX = "/problems/"
CONTENT_TYPE = "application/problem+json"


class Problem(Exception):  # noqa: N818 - the RFC's word; it is an answer, raised to leave a handler early
    """`slug` is the last part of the type URI, documented under that URI. `extensions` become members of the body."""

    def __init__(
        self,
        slug: str,
        status: int,
        title: str,
        detail: str | None = None,
        *,
        headers: Mapping[str, str] | None = None,
        **extensions: object,
    ) -> None:
        super().__init__(f"{status} {slug}")
        self.slug = slug
        self.status = status
        self.title = title
        self.detail = detail
        self.headers = dict(headers or {})
        self.extensions = extensions

    def response(self, request_id: str) -> web.Response:
        body: dict[str, object] = {
            "type": TYPE_PREFIX + self.slug,
            "title": self.title,
            "status": self.status,
            "instance": request_id,
        }
        if self.detail is not None:
            body["detail"] = self.detail
        body.update(self.extensions)
        return web.Response(
            body=orjson.dumps(body), status=self.status, content_type=CONTENT_TYPE, headers=self.headers
        )


def dependency_unavailable(retry_after_s: int = 1) -> Problem:
    return Problem(
        "dependency-unavailable",
        503,
        "A part that this request needs is away",
        "Nothing was lost; try again.",
        headers={"Retry-After": str(retry_after_s)},
    )


def not_found() -> Problem:
    return Problem("not-found", 404, "There is no such thing here")
