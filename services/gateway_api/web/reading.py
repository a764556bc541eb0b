"""Reading what a caller sent, with a limit on everything: size, time, nesting, types. Every refusal is a Problem."""

import asyncio
import json
import math
from typing import Any, NoReturn, TypeVar
from uuid import UUID

from aiohttp import hdrs, web
from pydantic import BaseModel, ValidationError

from services.gateway_api.limits import BODY_BYTES_MAX, BODY_READ_S, JSON_DEPTH_MAX
from services.gateway_api.web.problems import Problem, not_found

Model = TypeVar("Model", bound=BaseModel)
_ERRORS_MAX = 20


async def read_body(request: web.Request, limit_bytes: int, *, within_s: float = BODY_READ_S) -> bytes:
    """The raw body, at most `limit_bytes`. Raises Problem 413 above it, 408 when it takes longer than `within_s`.

    aiohttp keeps what was read, so that a second call is free; it has no deadline of its own for bodies.
    """
    if request.content_length is not None and request.content_length > limit_bytes:
        raise _too_large(limit_bytes)
    try:
        # What is there already needs no deadline, which costs more than reading it.
        if request.content.is_eof():
            body = await request.read()
        else:
            async with asyncio.timeout(within_s):
                body = await request.read()
    except web.HTTPRequestEntityTooLarge:
        raise _too_large(limit_bytes) from None
    except TimeoutError:
        raise Problem("slow-body", 408, "The body did not arrive in time", headers={hdrs.CONNECTION: "close"}) from None
    if len(body) > limit_bytes:
        raise _too_large(limit_bytes)
    return body


async def read_json(request: web.Request, limit_bytes: int = BODY_BYTES_MAX) -> Any:  # noqa: ANN401 - any JSON value
    """The body as JSON. Raises Problem 415 for another type or any Content-Encoding, 400 for what two parsers could
    read in two ways: duplicate keys, NaN, numbers out of range, lone surrogates, nesting without end.
    """
    refuse_encoded_body(request)
    require_json(request.content_type)
    return decode_json(await read_body(request, limit_bytes))


async def read_optional_json(request: web.Request) -> Any:  # noqa: ANN401 - any JSON value
    """As read_json; no body at all is an empty object."""
    if await read_body(request, BODY_BYTES_MAX):
        return await read_json(request)
    return {}


def refuse_encoded_body(request: web.Request) -> None:
    """Raises Problem 415. A compressed body could grow a thousandfold after every size check."""
    if hdrs.CONTENT_ENCODING in request.headers:
        raise Problem("unsupported-media-type", 415, "Send the body without Content-Encoding")


def require_json(content_type: str) -> None:
    """Raises Problem 415."""
    if content_type != "application/json":
        raise Problem("unsupported-media-type", 415, "The body must be application/json")


def decode_json(body: bytes) -> Any:  # noqa: ANN401 - any JSON value
    """Strict UTF-8 JSON. Raises Problem 400."""
    try:
        data = _DECODER.decode(body.decode())
        # As most bodies do, one with fewer brackets or without an escape passes what these look for.
        if body.count(b"[") + body.count(b"{") >= JSON_DEPTH_MAX:
            _require_shallow(data)
        if b"\\u" in body:
            # Fails on lone surrogates, which PostgreSQL could not store.
            json.dumps(data, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        raise Problem(
            "unreadable-json", 400, "The body is not acceptable JSON", "No duplicate keys, no NaN, UTF-8 only."
        ) from None
    return data


def parse(model: type[Model], data: Any) -> Model:  # noqa: ANN401 - any JSON value
    """`data` (from read_json) as `model`. Raises Problem 422 with `errors`: [{"field": "a.b", "message": ...}]."""
    try:
        # By way of JSON, because strict pydantic takes "2027-01-04" for a date only there.
        return model.model_validate_json(json.dumps(data))
    except ValidationError as error:
        found = error.errors(include_url=False, include_context=False, include_input=False)
        raise invalid(
            *((".".join(str(part) for part in one["loc"]), one["msg"].removeprefix("Value error, ")) for one in found)
        ) from None


def invalid(*errors: tuple[str, str]) -> Problem:
    """422 for (field, message) pairs. The messages name fields and bounds, never the values that came."""
    return Problem(
        "invalid-request",
        422,
        "The request is well-formed but not valid",
        errors=[{"field": field, "message": message} for field, message in errors[:_ERRORS_MAX]],
    )


def uuid_from(path: str) -> UUID:
    """An id in a path. Raises Problem 404 for what is no UUID: there is nothing of that name."""
    try:
        return UUID(path)
    except ValueError:
        raise not_found() from None


def _too_large(limit_bytes: int) -> Problem:
    return Problem(
        "payload-too-large",
        413,
        "The body is too large",
        f"At most {limit_bytes} bytes.",
        headers={hdrs.CONNECTION: "close"},
    )


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("duplicate key")
    return members


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError("number out of range")
    return number


def _require_shallow(data: object) -> None:
    level = [data]
    for _ in range(JSON_DEPTH_MAX):
        level = [
            child
            for node in level
            if isinstance(node, dict | list)
            for child in (node.values() if isinstance(node, dict) else node)
        ]
        if not level:
            return
    raise ValueError("nested too deeply")


# json.loads makes one for each call.
_DECODER = json.JSONDecoder(object_pairs_hook=_unique_keys, parse_constant=_refuse_constant, parse_float=_finite)
