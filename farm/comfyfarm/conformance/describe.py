"""Reduce a reply or a message to what is worth comparing: a small JSON value, one *step* of a transcript.

Common values have short forms, so that people can read transcripts: ``{"status": 1}`` is a whole status message with
one job remaining, and in a ``progress_state`` ``"running 3/20"`` is a node whose five ids follow from its key.
"""

import json
import struct
from collections.abc import Callable, Iterator
from typing import Any

from comfyfarm.clients.websocket import Message
from comfyfarm.conformance.http_client import RawReply

Step = dict[str, Any]
View = Callable[[Any], Any]

_PNG = b"\x89PNG\r\n\x1a\n"
_MAX_TEXT_BYTES = 400
_HEADERS = (
    "Accept-Ranges",
    "Access-Control-Allow-Methods",
    "Access-Control-Allow-Origin",
    "Allow",
    "Cache-Control",
    "Content-Disposition",
    "Content-Encoding",
    "Content-Range",
    "Content-Type",
    "Deprecation",
    "Expires",
    "Location",
    "Pragma",
    "Sunset",
    "X-Content-Type-Options",
)


def describe_reply(line: str, reply: RawReply, view: View | None = None) -> Step:
    """Return the step of a request.

    :param line: describes the request, for people.
    :param view: returns the part of the JSON that is compared; ``None`` for all of it.
    """
    headers = {name: reply.headers[name.lower()] for name in _HEADERS if name.lower() in reply.headers}
    step: Step = {"ask": line, "status": reply.status, "headers": headers}
    if "json" in headers.get("Content-Type", "") and reply.content:
        try:
            value = reply.json
        except ValueError:
            pass
        else:
            return {**step, **_viewed(value, view)}
    return {**step, "body": describe_bytes(reply.content)}


def _viewed(value: Any, view: View | None) -> Step:
    try:
        return {"json": value if view is None else view(value)}
    except (LookupError, TypeError, ValueError, AttributeError, StopIteration) as error:
        return {"json": value, "unlike ComfyUI": f"{type(error).__name__}: {error}"}


def describe_bytes(content: bytes) -> Any:
    """Return the kind of a picture, a short text as it is, and ``{"kind": "other"}`` for anything else."""
    if content.startswith(_PNG):
        return _describe_png(content)
    if content.startswith(b"\xff\xd8\xff"):
        return {"kind": "jpeg"}
    if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        return {"kind": "webp"}
    return content.decode("utf-8", "replace") if len(content) <= _MAX_TEXT_BYTES else {"kind": "other"}


def _describe_png(content: bytes) -> dict[str, Any]:
    width, height, depth, colours = struct.unpack(">IIBB", content[16:26])
    texts = [data.partition(b"\0")[0].decode("latin-1") for name, data in _chunks(content) if name == b"tEXt"]
    return {"kind": "png", "width": width, "height": height, "depth": depth, "colour_type": colours, "texts": texts}


def _chunks(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    offset = len(_PNG)
    while offset + 8 <= len(content):
        length, name = struct.unpack(">I4s", content[offset:offset + 8])
        yield name, content[offset + 8:offset + 8 + length]
        offset += length + 12


def describe_message(message: Message) -> Step:
    """Return the step of a websocket message, ``{type: data}``."""
    if isinstance(message, bytes):
        return _describe_binary(message)
    if message.keys() != {"type", "data"}:
        return {"unlike ComfyUI": message}
    kind, data = message["type"], message["data"]
    return {kind: _SHORT[kind](data) if kind in _SHORT else data}


def _describe_binary(frame: bytes) -> Step:
    (event,) = struct.unpack(">I", frame[:4])
    number = int.from_bytes(frame[4:8], "big")
    head, rest = frame[8:8 + number], frame[8 + number:]
    match event:
        case 1:
            return {"binary 1": {"format": number, "picture": describe_bytes(frame[8:])}}
        case 3:
            return {"binary 3": {"node": head.decode("utf-8", "replace"), "text": rest.decode("utf-8", "replace")}}
        case 4:
            return {"binary 4": {"metadata": json.loads(head), "picture": describe_bytes(rest)}}
        case _:
            return {f"binary {event}": {"picture": describe_bytes(frame[4:])}}


def _short_status(data: Any) -> Any:
    match data:
        case {"status": {"exec_info": {"queue_remaining": int(remaining), **more}, **rest}, **others} if not (
            more or rest or others
        ):
            return remaining
        case _:
            return data


def _short_progress(data: Any) -> Any:
    if not isinstance(data, dict) or not isinstance(data.get("nodes"), dict):
        return data
    nodes = {key: _short_node(key, node, data.get("prompt_id")) for key, node in data["nodes"].items()}
    return {**data, "nodes": nodes}


def _short_node(key: str, node: Any, prompt_id: Any) -> Any:
    ids = {"node_id": key, "display_node_id": key, "real_node_id": key, "parent_node_id": None, "prompt_id": prompt_id}
    if not isinstance(node, dict) or {name: node.get(name) for name in ids} != ids:
        return node
    state = {name: value for name, value in node.items() if name not in ids}
    if state.keys() != {"state", "value", "max"}:
        return node
    return f"{state['state']} {state['value']!r}/{state['max']!r}"


_SHORT: dict[str, View] = {"status": _short_status, "progress_state": _short_progress}


def shape(value: Any, depth: int = 3) -> Any:
    """Return the keys and types of a value that differs between machines; of a list, those of its first item."""
    if isinstance(value, dict) and depth:
        return {key: shape(item, depth - 1) for key, item in sorted(value.items())}
    if isinstance(value, list) and depth:
        return [shape(value[0], depth - 1)] if value else []
    return type(value).__name__
