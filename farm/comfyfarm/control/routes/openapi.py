"""What the control server can be asked, as OpenAPI says it: made of the table of endpoints and the Structs."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from functools import cache
from typing import Any

import msgspec

from comfyfarm.control.routing import ROUTES, Raw, Route, route
from comfyfarm.control.schema import endpoints
from comfyfarm.control.schema.endpoints import JSON, Endpoint
from comfyfarm.control.schema.farm import Problem
from comfyfarm.server.farm import Farm
from comfyfarm.sim.catalogue.models import Model
from comfyfarm.sim.distributions import Distribution
from comfyfarm.units import Duration, Size

_TEXT = {"type": "string"}
_WRITTEN: dict[type[Any], dict[str, Any]] = {
    Duration: _TEXT | {"examples": ["45ms", "1.5s", "2min", "1h"]},
    Model: _TEXT | {"examples": ["sdxl.safetensors:6.9GB"]},
    Size: _TEXT | {"examples": ["512MB", "6.9GB"]},
    Distribution: {"examples": ["45ms", {"normal": "45ms", "sd": "5ms"}]},
}


@route(endpoints.GET_OPENAPI)
def get_openapi(_farm: Farm) -> Raw:
    """Describe all this."""
    return Raw(_document(), JSON)


@cache
def _document() -> bytes:
    types = list(dict.fromkeys((Problem, *(kind for each in ROUTES for kind in _types(each)))))
    schemas, components = msgspec.json.schema_components(
        types, schema_hook=_written, ref_template="#/components/schemas/{name}"
    )
    schema_of = dict(zip(map(repr, types), schemas, strict=True))
    paths: dict[str, Any] = {}
    for each in ROUTES:
        paths.setdefault(each.endpoint.path, {})[each.endpoint.method.lower()] = _operation(each, schema_of)
    info = {"title": "comfyfarm", "version": "1", "description": "A farm of mock ComfyUI servers: its own API."}
    whole = {"openapi": "3.1.0", "info": info, "paths": paths, "components": {"schemas": components}}
    return msgspec.json.encode(whole)


def _written(kind: type[Any]) -> dict[str, Any]:
    if kind in _WRITTEN:
        return _WRITTEN[kind]
    raise NotImplementedError(kind)


def _body_of(each: Route) -> Any:
    return each.described_as() if each.described_as is not None else each.endpoint.body


def _types(each: Route) -> Iterator[Any]:
    endpoint = each.endpoint
    if (body := _body_of(each)) is not None:
        yield body
    if endpoint.is_json:
        yield endpoint.answer
    yield from (kind for _, kind in endpoint.others)
    if endpoint.query is not None:
        yield from (field.type for field in msgspec.structs.fields(endpoint.query))


def _operation(each: Route, schema_of: dict[str, Any]) -> dict[str, Any]:
    summary, _, more = (inspect.getdoc(each.handle) or "").partition("\n")
    operation: dict[str, Any] = {
        "operationId": each.handle.__name__,
        "summary": summary,
        "parameters": list(_parameters(each.endpoint, schema_of)),
        "responses": dict(_responses(each.endpoint, schema_of)),
    }
    if more.strip():
        operation["description"] = " ".join(more.split())
    if (body := _body_of(each)) is not None:
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
