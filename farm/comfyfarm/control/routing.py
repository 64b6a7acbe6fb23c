"""Decode a request as its endpoint says, call the handler, encode what it returns.

A handler is registered for an endpoint with :func:`route`; its docstring is what ``/openapi.json`` says of it.  It is
called with the farm, the names in the path, and with ``body`` or ``query`` if the endpoint has one.  It returns a
Struct, ``None`` for "ok", a :class:`Raw`, a :class:`WithStatus` or a resource of Twisted's.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import parse_qsl

import msgspec
from twisted.web.iweb import IRequest
from twisted.web.resource import IResource

from comfyfarm.config.decoding import ConfigError, decode_alone, decode_text
from comfyfarm.control.schema.endpoints import JSON, Endpoint, Table
from comfyfarm.control.schema.farm import Done
from comfyfarm.server.farm import Farm

F = TypeVar("F", bound=Callable[..., Any])
S = TypeVar("S", bound=msgspec.Struct)


class ApiError(Exception):
    """The control API says no; nothing has changed."""

    def __init__(self, status: int, error: str) -> None:
        super().__init__(status, error)
        self.status = status
        self.error = error


@dataclass(frozen=True)
class Raw:
    """An answer that is no JSON document."""

    content: bytes
    media_type: str


@dataclass(frozen=True)
class WithStatus:
    """An answer under another status than 200."""

    status: int
    body: msgspec.Struct


@dataclass(frozen=True)
class Route:
    """An endpoint and its handler.

    :ivar described_as: returns the type that ``/openapi.json`` shows for the body, if that is not what we decode.
    """

    endpoint: Endpoint[Any]
    handle: Callable[..., Any]
    described_as: Callable[[], Any] | None = None

    async def serve(self, farm: Farm, request: IRequest, names: dict[str, str]) -> bytes | IResource:
        """Parse, ask, answer.

        :raises Rejected: where the answer is no.
        """
        asked: dict[str, Any] = dict(names)
        if self.endpoint.body is not None:
            asked["body"] = _read_body(request, self.endpoint.body)
        if self.endpoint.query is not None:
            asked["query"] = _read_query(request, self.endpoint.query)
        given = self.handle(farm, **asked)
        if inspect.isawaitable(given):
            given = await given
        farm.clock_control.nudge()
        return _send(request, given)


ROUTES: list[Route] = []


def route(endpoint: Endpoint[Any], described_as: Callable[[], Any] | None = None) -> Callable[[F], F]:
    """Register a function as the handler of an endpoint."""

    def register(handle: F) -> F:
        ROUTES.append(Route(endpoint, handle, described_as))
        return handle

    return register


def _read_body(request: IRequest, kind: Any) -> Any:
    if getattr(request, "too_large", False):
        raise ApiError(413, "the body is too large")
    try:
        raw = msgspec.json.decode(request.content.read() or b"{}")
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as why:
        raise ApiError(400, f"the body is no JSON: {why}") from why
    if kind == Table:
        return raw
    try:
        return decode_alone(raw, kind)
    except ConfigError as why:
        raise ApiError(422, str(why)) from why


def _read_query(request: IRequest, kind: type[S]) -> S:
    given = dict(parse_qsl(request.uri.partition(b"?")[2].decode("utf-8", "replace"), keep_blank_values=True))
    fields = {each.name: each.type for each in msgspec.structs.fields(kind)}
    read = {}
    for key, text in given.items():
        if key not in fields:
            raise ApiError(422, f"{key}: unknown key (there are: {', '.join(fields)})")
        try:
            read[key] = decode_text(text, fields[key])
        except ConfigError as why:
            raise ApiError(422, f"{key}: {why}") from why
    return kind(**read)


def _send(request: IRequest, given: Any) -> bytes | IResource:
    if IResource.providedBy(given):
        resource: IResource = given
        return resource
    if isinstance(given, Raw):
        return _write(request, given.content, given.media_type, 200)
    if isinstance(given, WithStatus):
        return answer(request, given.body, given.status)
    return answer(request, Done() if given is None else given)


def answer(request: IRequest, body: object, status: int = 200) -> bytes:
    """Answer in JSON."""
    return _write(request, msgspec.json.encode(body), JSON, status)


def _write(request: IRequest, content: bytes, media_type: str, status: int) -> bytes:
    request.setResponseCode(status)
    request.setHeader(b"content-type", media_type.encode())
    request.setHeader(b"content-length", str(len(content)).encode())
    return content
