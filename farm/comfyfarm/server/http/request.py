"""One HTTP exchange in small words: what was asked, and how to answer it."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, cast
from urllib.parse import parse_qsl, unquote

from twisted.web.iweb import IRequest

from comfyfarm.events import Exchanged
from comfyfarm.server.http.answer import Answer, empty, json_answer
from comfyfarm.server.http.headers import cache_headers, forget_origin
from comfyfarm.server.http.site import ComfyRequest
from comfyfarm.sim.errors import ServerError

_DEEPEST = 500      # Python itself gives up before 1,000, and an answer is nested deeper than what it repeats


def json_body(request: IRequest) -> Any:
    """The body, read as ComfyUI reads it: whatever its content type, in the charset that it names.

    :raises ServerError: where it is no JSON, or nested so deep that it could not be written again.
    """
    try:
        content = request.content.read().decode(_charset(request))
        body = json.loads(content)
    except (ValueError, LookupError, RecursionError) as why:
        raise ServerError(f"not JSON: {why}") from why
    if content.count("[") + content.count("{") > _DEEPEST and _is_deeper(body, _DEEPEST):
        raise ServerError("nested too deep")
    return body


def _is_deeper(body: object, levels: int) -> bool:
    """Whether something in it stands inside more than so many lists and objects."""
    inside = [body]
    while inside and levels:
        inside = [each for value in inside for each in _parts(value)]
        levels -= 1
    return bool(inside)


def _parts(value: object) -> Iterable[object]:
    return value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()


def _charset(request: IRequest) -> str:
    content_type = header(request, "content-type") or ""
    for parameter in content_type.split(";")[1:]:
        name, _, value = parameter.strip().partition("=")
        if name.lower() == "charset":
            return value.strip('"') or "utf-8"
    return "utf-8"


def header(request: IRequest, name: str) -> str | None:
    """A header of the request, or ``None``."""
    value = request.getHeader(name.encode())
    return None if value is None else value.decode("utf-8", "replace")


def query(request: IRequest) -> dict[str, str]:
    """The query; of a repeated name the first."""
    # Not ``request.args``: Twisted splits at ";" too, which stands in ``preview=webp;90``.
    pairs = parse_qsl(request.uri.partition(b"?")[2].decode("utf-8", "replace"), keep_blank_values=True)
    return dict(reversed(pairs))


def segment(quoted: str) -> str:
    """A part of the path as the client meant it; the gate keeps ``%`` and ``/`` in it quoted."""
    return unquote(quoted)


def send(request: IRequest, reply: Answer) -> bytes:
    """Answer with a whole reply; the value is what a route returns."""
    request.setResponseCode(reply.status)
    if reply.is_raised:
        forget_origin(request)
    for name, value in (*cache_headers(request.path, reply), *reply.headers):
        request.setHeader(name.encode(), value.encode("utf-8", "surrogateescape"))
    if reply.status != 304:     # which has no length, as it has no body of its own
        request.setHeader(b"content-length", str(len(reply.body)).encode())
    return reply.body


def answer(request: IRequest, body: object, status: int = 200) -> bytes:
    """Answer in JSON.  (Klein turns a returned ``dict`` into an empty 200.)"""
    return send(request, json_answer(body, status))


def note(request: IRequest, **facts: Any) -> None:
    """Let the log say this of an exchange: fields of :class:`~comfyfarm.server.http.exchange_record.ExchangeRecord`."""
    for name, value in facts.items():
        setattr(cast(ComfyRequest, request).about, name, value)


def nothing(request: IRequest, status: int = 200) -> bytes:
    """Answer with a status only."""
    return send(request, empty(status))


def _exchange(request: ComfyRequest, at_ms: int, status: int, size_bytes: int) -> Exchanged:
    return Exchanged(
        at_ms=at_ms,
        method=request.method.decode("ascii", "replace"),
        path=request.path.decode("utf-8", "replace"),
        query=request.uri.partition(b"?")[2].decode("utf-8", "replace"),
        status=status,
        size_bytes=size_bytes,
        **vars(request.about),
    )
