"""Decodes the requests of the control API, calls their handlers, and encodes the results.

A handler is registered for an endpoint with :func:`route`; its docstring becomes its text in ``/openapi.json``.  It is
called with the farm, the names in the path, and with ``body`` or ``query`` if the endpoint has one.  It returns a
Struct, ``None`` for "ok", a :class:`Raw`, a :class:`WithStatus` or a resource of Twisted's.
"""

import inspect
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import parse_qsl

import msgspec
from twisted.web.iweb import IRequest
from twisted.web.resource import IResource

from comfyfarm.config.decoding import ConfigError, check_numbers, decode_alone, decode_text
from comfyfarm.control.schema.endpoints import JSON, Endpoint, Table
from comfyfarm.control.schema.farm import Done
from comfyfarm.server.farm import Farm

_LONG_NUMBER = re.compile(rb"[0-9]{19}")    # only then the body is looked through
_MOST_SEARCHED = 4 << 20    # bytes; what is longer has a picture and no numbers

F = TypeVar("F", bound=Callable[..., Any])
S = TypeVar("S", bound=msgspec.Struct)


class ApiError(Exception):
    """A request is refused with this status and error text; nothing has changed."""

    def __init__(self, status: int, error: str) -> None:
        super().__init__(status, error)
        self.status = status
        self.error = error


@dataclass(frozen=True)
class Raw:
    """A result that is encoded already."""

    content: bytes
    media_type: str


@dataclass(frozen=True)
class WithStatus:
    """A result with another status than 200."""

    status: int
    body: msgspec.Struct


@dataclass(frozen=True)
class Route:
    """An endpoint and its handler.

    :ivar described_as: returns the type of the body in ``/openapi.json``, if the handler decodes the body itself.
    """

    endpoint: Endpoint[Any]
    handle: Callable[..., Any]
    described_as: Callable[[], Any] | None = None

    async def serve(self, farm: Farm, request: IRequest, names: dict[str, str]) -> bytes | IResource:
        """Decode a request, call the handler and encode its result.

        :raises ApiError: if the request is refused.
        """
        arguments: dict[str, Any] = dict(names)
        if self.endpoint.body is not None:
            arguments["body"] = _read_body(request, self.endpoint)
        if self.endpoint.query is not None:
            arguments["query"] = _read_query(request, self.endpoint.query)
        result = self.handle(farm, **arguments)
        if inspect.isawaitable(result):
            result = await result
        farm.clock_control.nudge()
        farm.flush_log()    # what a client knows is on the disk
        return _send(request, result)


ROUTES: list[Route] = []


def route(endpoint: Endpoint[Any], described_as: Callable[[], Any] | None = None) -> Callable[[F], F]:
    """Register a function as the handler of an endpoint."""

    def register(handle: F) -> F:
        ROUTES.append(Route(endpoint, handle, described_as))
        return handle

    return register


def _read_body(request: IRequest, endpoint: Endpoint[Any]) -> Any:
    kind, content = endpoint.body, request.content.read(endpoint.max_bytes + 1)
    if getattr(request, "too_large", False) or len(content) > endpoint.max_bytes:
        raise ApiError(413, f"the body is too large: at most {endpoint.max_bytes} bytes are read")
    try:
        raw = msgspec.json.decode(content or b"{}")
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, ValueError) as error:
        raise ApiError(400, f"the body is no JSON: {error}") from error
    try:
        if len(content) <= _MOST_SEARCHED and _LONG_NUMBER.search(content):
            check_numbers(raw)
        return raw if kind == Table else decode_alone(raw, kind)
    except ConfigError as error:
        raise ApiError(422, str(error)) from error


def _read_query(request: IRequest, kind: type[S]) -> S:
    query = dict(parse_qsl(request.uri.partition(b"?")[2].decode("utf-8", "replace"), keep_blank_values=True))
    fields = msgspec.structs.fields(kind)
    types = {field.name: field.type for field in fields}
    values = {}
    for key, text in query.items():
        if key not in types:
            raise ApiError(422, f"{key}: unknown key (there are: {', '.join(types)})")
        try:
            values[key] = decode_text(text, types[key])
        except ConfigError as error:
            raise ApiError(422, f"{key}: {error}") from error
    for field in fields:
        if field.required and field.name not in values:
            raise ApiError(422, f"{field.name}: is missing")
    return kind(**values)


def _send(request: IRequest, result: Any) -> bytes | IResource:
    if IResource.providedBy(result):
        resource: IResource = result
        return resource
    if isinstance(result, Raw):
        return _write(request, result.content, result.media_type, 200)
    if isinstance(result, WithStatus):
        return answer(request, result.body, result.status)
    return answer(request, Done() if result is None else result)


def answer(request: IRequest, body: object, status: int = 200) -> bytes:
    """Set the headers of a JSON response, and return its content."""
    return _write(request, msgspec.json.encode(body), JSON, status)


def _write(request: IRequest, content: bytes, media_type: str, status: int) -> bytes:
    request.setResponseCode(status)
    request.setHeader(b"content-type", media_type.encode())
    request.setHeader(b"content-length", str(len(content)).encode())
    return content
