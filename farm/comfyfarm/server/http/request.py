"""Reading requests and sending answers, as the routes need it."""

import json
from collections.abc import Iterable, Mapping
from typing import Any, cast
from urllib.parse import unquote

import msgspec
from twisted.web.iweb import IRequest

from comfyfarm.events import Exchanged
from comfyfarm.server.http.answer import Answer, json_answer
from comfyfarm.server.http.comfy_request import ComfyRequest
from comfyfarm.sim.errors import ServerError
from comfyfarm.sim.prompt.job_names import JobNames
from comfyfarm.sim.prompt.submission import PromptSource

_UTF8 = "utf-8"
_decode = msgspec.json.Decoder().decode
_MAX_DEPTH = 500    # Python itself fails before 1,000, and an answer is nested deeper than the body that it repeats


def raw_body(request: IRequest) -> bytes:
    """Return the decoded body, also if a fault has read it before.

    :raises ServerError: if its encoding is broken.
    """
    served = cast(ComfyRequest, request)
    if served.whole_body is not None:
        return served.whole_body
    if served.is_undecodable:
        raise ServerError("the body is not in its content encoding")
    request.content.seek(0)
    return bytes(request.content.read())


def json_body(request: IRequest) -> Any:
    """Return the JSON body as ComfyUI reads it: of any content type, in the charset that the content type names.

    :raises ServerError: if it is no JSON, or nested too deep to be written again.
    """
    content, charset = raw_body(request), _charset(request)
    try:
        body = parse_json(content, charset)
    except (ValueError, LookupError, RecursionError) as error:
        raise ServerError(f"not JSON: {error}") from error
    is_flat = charset == _UTF8 and content.count(b"[") + content.count(b"{") <= _MAX_DEPTH
    if not is_flat and _is_deeper(body, _MAX_DEPTH):
        raise ServerError("nested too deep")
    return body


def parse_json(content: bytes, charset: str = _UTF8) -> Any:
    """Return what Python's ``json`` reads; msgspec reads most of it in half the time.

    What msgspec takes, it reads as ``json`` does.  It refuses more: NaN, infinite and huge numbers, lone surrogates.

    :raises Exception: what ``bytes.decode`` and ``json.loads`` raise.
    """
    if charset == _UTF8:
        try:
            return _decode(content)
        except (ValueError, RecursionError):
            pass
    return json.loads(content.decode(charset))


def _is_deeper(body: object, levels: int) -> bool:
    """Return whether lists and objects are nested in more than this number of levels."""
    values = [body]
    while values and levels:
        values = [child for value in values for child in _children(value)]
        levels -= 1
    return bool(values)


def _children(value: object) -> Iterable[object]:
    return value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()


def _charset(request: IRequest) -> str:
    content_type = header(request, "content-type") or ""
    if ";" not in content_type:
        return _UTF8
    for parameter in content_type.split(";")[1:]:
        name, _, value = parameter.strip().partition("=")
        if name.lower() == "charset":
            return value.strip('"') or _UTF8
    return _UTF8


def header(request: IRequest, name: str) -> str | None:
    """Return a header; if it was sent several times, the first one."""
    return cast(ComfyRequest, request).field_text(name)


def prompt_source(request: IRequest, names: JobNames) -> PromptSource:
    """Return what the headers of a ``POST /prompt`` say of it."""
    return PromptSource(
        usage_source=header(request, "comfy-usage-source"),
        job=header(request, "x-comfyfarm-job"),
        header=header(request, names.header) if names.header else None,
    )


def query(request: IRequest) -> Mapping[str, str]:
    """Return the query parameters; of a repeated name the first value."""
    return cast(ComfyRequest, request).parameters


segment = unquote
"""Unquotes a path parameter: the front resource leaves ``%`` and ``/`` in it quoted."""


def send(request: IRequest, reply: Answer) -> bytes:
    """Set status and headers of an answer, and return its body, which the route then returns."""
    return cast(ComfyRequest, request).answer_with(reply)


def answer(request: IRequest, body: object, status: int = 200) -> bytes:
    """Answer in JSON.  (Klein turns a returned ``dict`` into an empty 200.)"""
    return send(request, json_answer(body, status))


def nothing(request: IRequest, status: int = 200) -> bytes:
    return send(request, Answer(status))


def note(request: IRequest, **facts: Any) -> None:
    """Set fields of the record of a request (``exchange_record.py``), for the event log."""
    record = cast(ComfyRequest, request).record
    for name, value in facts.items():
        setattr(record, name, value)


def exchanged_event(request: ComfyRequest, at_ms: int, status: int, size_bytes: int) -> Exchanged:
    """Return the event for a request that has ended."""
    record, texts = request.record, request.texts
    return Exchanged(
        at_ms=at_ms,
        method=texts["method"],
        path=texts["path"],
        query=texts["query"],
        status=status,
        size_bytes=size_bytes,
        began_ms=record.began_ms,
        prompt_id=record.prompt_id,
        job=record.job,
        client_id=record.client_id,
        retry_after_ms=record.retry_after_ms,
        shown=record.shown,
        damage=record.damage,
        first_byte=record.first_byte,
        traceparent=record.traceparent,
        request_headers=record.request_headers,
        request_body=record.request_body,
    )
