"""What an Avro schema of ours contains, found by walking its JSON.

A recursive type and an array of items that take no bytes both let a few bytes on the wire become gigabytes in memory:
fastavro follows the counts that the bytes claim.
"""

from collections.abc import Iterator
from typing import Any

Json = Any
"""A schema: a type's name, a union as a list, or an object; or a value of one."""


def find_memory_bombs(schema: Json) -> Iterator[str]:
    """One sentence for each recursive type and each array of zero-size items."""
    named = {
        _name_of(found["name"]): found for _, found in _walk(schema) if isinstance(found, dict) and "name" in found
    }
    recursions = list(_recursions(schema, ()))
    yield from recursions
    if recursions:
        return
    for _, found in _walk(schema):
        match found:
            case {"type": "array", "items": items} if _is_empty(items, named):
                yield f"an array of {items!r}, whose items take no bytes"


def logical_types(schema: Json) -> dict[str, str]:
    """Path of each value with a logical type -> that type. Apache Avro's checker does not look at these: to it a UUID
    may become any string and a date any number.
    """
    return {
        path: found["logicalType"]
        for path, found in _walk(schema)
        if isinstance(found, dict) and "logicalType" in found
    }


def field_paths(schema: Json) -> set[str]:
    """Every field, nested ones as `schedule.start_date`, items as `weekdays[]`."""
    return {path for path, _ in _walk(schema) if path}


def _walk(schema: Json, path: str = "") -> Iterator[tuple[str, Json]]:
    """(path, schema) of this type and of every type inside it."""
    yield path, schema
    for name, inner in _parts(schema):
        yield from _walk(inner, f"{path}.{name}".strip(".") if name != "[]" else f"{path}[]")


def _parts(schema: Json) -> Iterator[tuple[str, Json]]:
    match schema:
        case list():
            yield from (("", branch) for branch in schema)
        case {"type": "record", "fields": fields}:
            yield from ((field["name"], field["type"]) for field in fields)
        case {"type": "array", "items": inner} | {"type": "map", "values": inner}:
            yield "[]", inner
        case {"type": dict() | list() as inner}:
            yield "", inner


def _recursions(schema: Json, inside: tuple[str, ...]) -> Iterator[str]:
    if isinstance(schema, str) and _name_of(schema) in inside:
        yield f"the type {schema} contains itself"
    if isinstance(schema, dict) and "name" in schema:
        inside = (*inside, _name_of(schema["name"]))
    for _, inner in _parts(schema):
        yield from _recursions(inner, inside)


def _is_empty(schema: Json, named: dict[str, Json]) -> bool:
    """Whether every value of the type is encoded as nothing at all."""
    match schema:
        case "null" | {"type": "null"} | {"type": "fixed", "size": 0}:
            return True
        case str() if _name_of(schema) in named:
            return _is_empty(named[_name_of(schema)], named)
        case {"type": "record", "fields": fields}:
            return all(_is_empty(field["type"], named) for field in fields)
    return False


def _name_of(name: str) -> str:
    return name.rsplit(".", 1)[-1]
