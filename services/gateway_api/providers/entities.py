"""Small parts of what providers send, read with suspicion: a genuine message may still hold anything."""

import re
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, ValidationError

from services.gateway_api.providers.verified import is_provider_id
from services.gateway_api.web.problems import Problem
from services.gateway_api.web.reading import decode_json

Model = TypeVar("Model", bound=BaseModel)
Json = dict[str, Any]
Id = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_]{1,64}$")]
Amount = Annotated[int, Field(ge=0, le=10**15)]
Currency = Annotated[
    str,
    BeforeValidator(lambda value: value.upper() if isinstance(value, str) else value),
    StringConstraints(pattern=r"^[A-Z]{3}$"),
]
UNREADABLE = "unreadable"
_is_event_name = re.compile(r"[A-Za-z0-9_.]{1,128}").fullmatch


class Entity(BaseModel):
    """Fields that we do not use are ignored: providers add new ones."""

    model_config = ConfigDict(strict=True, extra="ignore", frozen=True)


def read_entity(model: type[Model], data: object) -> Model | None:
    """None for what does not look like one."""
    try:
        return model.model_validate(data)
    except ValidationError:
        return None


def read_object(body: bytes) -> Json:
    """A JSON object that every parser reads alike; empty for anything else."""
    try:
        data = decode_json(body)
    except Problem:
        return {}
    return data if isinstance(data, dict) else {}


def member(data: object, *path: str) -> object:
    """`data[path[0]][path[1]]...`, None where there is no such thing."""
    for name in path:
        data = data.get(name) if isinstance(data, dict) else None
    return data


def event_name_of(name: object) -> str:
    return name if isinstance(name, str) and _is_event_name(name) else UNREADABLE


def id_of(value: object) -> str | None:
    return value if isinstance(value, str) and is_provider_id(value) else None
