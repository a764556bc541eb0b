"""Models as HTTP answers."""

import hashlib
from collections.abc import Mapping

from aiohttp import ETag, hdrs, web
from pydantic import BaseModel


def answer(model: BaseModel, *, status: int = 200, headers: Mapping[str, str] | None = None) -> web.Response:
    return web.Response(
        body=model.model_dump_json().encode(), status=status, content_type="application/json", headers=headers
    )


def answer_if_changed(request: web.Request, model: BaseModel, *, headers: Mapping[str, str]) -> web.Response:
    """200 with an ETag, or 304 without a body when the caller has this answer already (If-None-Match)."""
    response = answer(model, headers=headers)
    assert isinstance(response.body, bytes)
    tag = hashlib.blake2b(response.body, digest_size=16).hexdigest()
    known = request.if_none_match or ()
    if any(one.value in {tag, "*"} for one in known):
        response = web.Response(status=304, headers=headers)
    response.etag = ETag(tag)
    # A payment is its owner's alone, and a kept answer is to be asked about each time.
    response.headers[hdrs.CACHE_CONTROL] = "private, no-cache"
    return response
