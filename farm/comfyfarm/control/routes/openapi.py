"""The OpenAPI document of the control API, made from the table of endpoints and the Structs."""

import inspect
import re
from collections.abc import Iterator
from functools import cache
from typing import Any

import msgspec

from comfyfarm.config.schema import custom_schema
from comfyfarm.control import routing
from comfyfarm.control.routing import ROUTES, Raw, Route
from comfyfarm.control.schema import endpoints
from comfyfarm.control.schema.endpoints import JSON, Endpoint
from comfyfarm.control.schema.farm import Problem
from comfyfarm.server.farm import Farm

_TEXT = {"type": "string"}


@routing.route(endpoints.GET_OPENAPI)
def get_openapi(_farm: Farm) -> Raw:
    """Return this document."""
    return Raw(_document(), JSON)


@cache
def _document() -> bytes:
    types = list(dict.fromkeys((Problem, *(kind for route in ROUTES for kind in _types(route)))))
    schemas, components = msgspec.json.schema_components(
        types, schema_hook=custom_schema, ref_template="#/components/schemas/{name}"
    )
    schema_of = dict(zip(map(repr, types), schemas, strict=True))
    paths: dict[str, Any] = {}
    for route in ROUTES:
        paths.setdefault(route.endpoint.path, {})[route.endpoint.method.lower()] = _operation(route, schema_of)
    info = {"title": "comfyfarm", "version": "1", "description": "A farm of mock ComfyUI servers: its own API."}
    document = {"openapi": "3.1.0", "info": info, "paths": paths, "components": {"schemas": components}}
    return msgspec.json.encode(document)


def _body_type(route: Route) -> Any:
    return route.described_as() if route.described_as is not None else route.endpoint.body


def _types(route: Route) -> Iterator[Any]:
    endpoint = route.endpoint
    if (body := _body_type(route)) is not None:
        yield body
    if endpoint.is_json:
        yield endpoint.answer
    yield from (kind for _, kind in endpoint.others)
    if endpoint.query is not None:
        yield from (field.type for field in msgspec.structs.fields(endpoint.query))


def _operation(route: Route, schema_of: dict[str, Any]) -> dict[str, Any]:
    summary, _, description = (inspect.getdoc(route.handle) or "").partition("\n")
    operation: dict[str, Any] = {
        "operationId": route.handle.__name__,
        "summary": summary,
        "parameters": list(_parameters(route.endpoint, schema_of)),
        "responses": dict(_responses(route.endpoint, schema_of)),
    }
    if description.strip():
        operation["description"] = " ".join(description.split())
    if (body := _body_type(route)) is not None:
        operation["requestBody"] = {"content": {JSON: {"schema": schema_of[repr(body)]}}}
    return operation


def _parameters(endpoint: Endpoint[Any], schema_of: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for name in re.findall(r"\{(\w+)\}", endpoint.path):
        yield {"name": name, "in": "path", "required": True, "schema": _TEXT}
    for field in msgspec.structs.fields(endpoint.query) if endpoint.query is not None else ():
        yield {"name": field.name, "in": "query", "required": False, "schema": schema_of[repr(field.type)]}


def _responses(endpoint: Endpoint[Any], schema_of: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    content = {endpoint.media_type: {"schema": schema_of[repr(endpoint.answer)] if endpoint.is_json else _TEXT}}
    yield "200", {"description": "OK", "content": content | {kind: {"schema": _TEXT} for kind in endpoint.also}}
    for status, kind in endpoint.others:
        content = {JSON: {"schema": schema_of[repr(kind)]}}
        yield str(status), {"description": str(kind.__doc__).partition("\n")[0], "content": content}
    problem = {JSON: {"schema": schema_of[repr(Problem)]}}
    yield "default", {"description": "No: nothing has changed.", "content": problem}
