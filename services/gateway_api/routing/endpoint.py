"""What is known about a route beside its handler: who may call it, what it reads, how it may answer."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from pydantic import BaseModel

from services.gateway_api.callers.roles import Role
from services.gateway_api.limits import (
    BODY_BYTES_MAX,
    IDEMPOTENCY_KEY_CHARACTERS_MAX,
    PAGE_ITEMS,
    PAGE_ITEMS_MAX,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """Of the query or a header. `schema` is JSON Schema."""

    name: str
    where: Literal["query", "header"]
    schema: Mapping[str, object]
    required: bool = False
    description: str | None = None


# Of lists, of what must not happen twice, and of whatever has a JSON body.
PAGE = (
    Parameter(
        name="limit",
        where="query",
        schema={"type": "integer", "minimum": 1, "maximum": PAGE_ITEMS_MAX, "default": PAGE_ITEMS},
    ),
    Parameter(name="cursor", where="query", schema={"type": "string"}, description="nextCursor of the page before"),
)
_KEY_SCHEMA = {"type": "string", "minLength": 1, "maxLength": IDEMPOTENCY_KEY_CHARACTERS_MAX}
KEY = Parameter(
    name="Idempotency-Key",
    where="header",
    schema=_KEY_SCHEMA,
    required=True,
    description="a repeated key gets the first answer, for 24 hours",
)
KEY_IF_WANTED = replace(KEY, required=False)
MISTAKES = (400, 415, 422)


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """`roles` empty: no token is asked for. `answers`: status -> model, another content type, or None without a
    body; `problems`: the other statuses, besides those that every route may give.
    """

    method: str
    path: str
    summary: str
    roles: frozenset[Role] = frozenset()
    body: type[BaseModel] | None = None
    body_required: bool = True
    form_too: bool = False
    raw_body: bool = False
    body_bytes_max: int = BODY_BYTES_MAX
    parameters: tuple[Parameter, ...] = ()
    answers: Mapping[int, type[BaseModel] | str | None]
    problems: tuple[int, ...] = ()
    headers: Mapping[int, tuple[str, ...]] = field(default_factory=dict)
    hidden: bool = False
    deprecated: bool = False

    @property
    def reads_body(self) -> bool:
        return self.body is not None or self.raw_body
