"""The OpenAPI 3.1 document, made from endpoints.py and the pydantic models: it cannot say what the code does not do."""

import re
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import JsonSchemaMode, models_json_schema

from services.gateway_api.bodies.answers import ProblemAnswer
from services.gateway_api.callers.machine_keys import MACHINE_ROLES
from services.gateway_api.routing.endpoint import Endpoint, Parameter
from services.gateway_api.routing.endpoints import ENDPOINTS
from services.gateway_api.web.problems import CONTENT_TYPE

Json = dict[str, Any]
_REF = "#/components/schemas/{model}"
_JSON = "application/json"
# Of every route: a lost part, a mistake of ours, and what aiohttp itself refuses (400: a broken request line).
_ALWAYS = (500, 503)
_WITH_BODY = (408, 413, 415)
_WITH_TOKEN = (401, 403, 429)
_RETRY_AFTER = {"Retry-After": {"schema": {"type": "integer"}, "description": "seconds"}}


def openapi_document() -> Json:
    visible = [endpoint for endpoint in ENDPOINTS.values() if not endpoint.hidden]
    refs, schemas = _schemas(visible)
    paths: Json = {}
    for endpoint in visible:
        paths.setdefault(endpoint.path, {})[endpoint.method.lower()] = _operation(endpoint, refs)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "coursepay",
            "version": "1",
            "description": "Turns a student's payment into a course with a trainer. Errors are RFC 9457 problems.",
        },
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"},
                "machine": {
                    "type": "apiKey",
                    "in": "header",
                    "name": "Authorization",
                    "description": "`ApiKey cpk_...`, made with `coursepay keys create`",
                },
            },
        },
    }


def statuses_of(endpoint: Endpoint) -> frozenset[int]:
    """Every status that the route may answer with."""
    found = {*endpoint.answers, *endpoint.problems, *_ALWAYS}
    if endpoint.reads_body:
        found |= {*_WITH_BODY, 429} if not endpoint.roles else {*_WITH_BODY}
    if endpoint.roles:
        found |= {*_WITH_TOKEN}
    return frozenset(found)


def _schemas(endpoints: list[Endpoint]) -> tuple[Mapping[type[BaseModel], Json], Json]:
    bodies = {endpoint.body for endpoint in endpoints if endpoint.body is not None}
    told = {model for endpoint in endpoints for model in endpoint.answers.values() if isinstance(model, type)}
    modes: dict[type[BaseModel], JsonSchemaMode] = dict.fromkeys(_by_name(bodies), "validation")
    modes |= dict.fromkeys(_by_name(told | {ProblemAnswer}), "serialization")
    found, definitions = models_json_schema(list(modes.items()), ref_template=_REF)
    schemas = {name: _without_titles(schema) for name, schema in definitions["$defs"].items()}
    return {model: found[model, mode] for model, mode in modes.items()}, schemas


def _without_titles(node: Any) -> Any:  # noqa: ANN401 - JSON
    """Pydantic titles each property with its own name in capitals, which tells nobody anything."""
    if isinstance(node, dict):
        return {
            name: _without_titles(value)
            for name, value in node.items()
            if not (name == "title" and isinstance(value, str))
        }
    return [_without_titles(value) for value in node] if isinstance(node, list) else node


def _by_name(models: set[type[BaseModel]]) -> list[type[BaseModel]]:
    return sorted(models, key=lambda model: model.__name__)


def _operation(endpoint: Endpoint, refs: Mapping[type[BaseModel], Json]) -> Json:
    operation: Json = {
        "operationId": _operation_id(endpoint),
        "summary": endpoint.summary,
        "parameters": [*_path_parameters(endpoint), *(_parameter(one) for one in endpoint.parameters)],
        "responses": {str(status): _response(endpoint, status, refs) for status in sorted(statuses_of(endpoint))},
    }
    if endpoint.roles:
        operation["security"] = [{"token": []}]
        if not MACHINE_ROLES.isdisjoint(endpoint.roles):
            operation["security"].append({"machine": []})
        operation["x-roles"] = sorted(endpoint.roles)
    if endpoint.deprecated:
        operation["deprecated"] = True
    if endpoint.body is not None:
        content: Json = {_JSON: {"schema": refs[endpoint.body]}}
        if endpoint.form_too:
            content["application/x-www-form-urlencoded"] = {"schema": refs[endpoint.body]}
        operation["requestBody"] = {"required": endpoint.body_required, "content": content}
    elif endpoint.raw_body:
        operation["requestBody"] = {"required": True, "content": {_JSON: {"schema": {}}}}
    return operation


def _operation_id(endpoint: Endpoint) -> str:
    return re.sub(r"[^A-Za-z0-9]+", "_", f"{endpoint.method.lower()}{endpoint.path}").strip("_")


def _path_parameters(endpoint: Endpoint) -> list[Json]:
    names = re.findall(r"\{(\w+)\}", endpoint.path)
    return [{"name": name, "in": "path", "required": True, "schema": _path_schema(name)} for name in names]


def _path_schema(name: str) -> Json:
    return {"type": "string", "pattern": r"^[A-Za-z0-9_-]{1,64}$"} if name != "rest" else {"type": "string"}


def _parameter(parameter: Parameter) -> Json:
    told: Json = {
        "name": parameter.name,
        "in": parameter.where,
        "required": parameter.required,
        "schema": dict(parameter.schema),
    }
    if parameter.description is not None:
        told["description"] = parameter.description
    return told


def _response(endpoint: Endpoint, status: int, refs: Mapping[type[BaseModel], Json]) -> Json:
    model = endpoint.answers.get(status, ProblemAnswer)
    response: Json = {"description": HTTPStatus(status).phrase}
    if isinstance(model, str):
        response["content"] = {model: {}}
    elif model is not None:
        content_type = CONTENT_TYPE if model is ProblemAnswer else _JSON
        response["content"] = {content_type: {"schema": refs[model]}}
    headers: Json = {name: {"schema": {"type": "string"}} for name in endpoint.headers.get(status, ())}
    if status in {429, 503} and model is ProblemAnswer:
        headers |= _RETRY_AFTER
    if headers:
        response["headers"] = headers
    return response
