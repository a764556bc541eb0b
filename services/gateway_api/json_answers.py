"""Models as HTTP answers."""

from collections.abc import Mapping

from aiohttp import web
from pydantic import BaseModel


def answer(model: BaseModel, *, status: int = 200, headers: Mapping[str, str] | None = None) -> web.Response:
    return web.Response(
        body=model.model_dump_json().encode(), status=status, content_type="application/json", headers=headers
    )
