"""Events, and what is made of them, as JSON."""

from __future__ import annotations

import json
from typing import Any

import msgspec

from comfyfarm.events import Event

_encoder = msgspec.json.Encoder()


def as_json(told: msgspec.Struct) -> bytes:
    """What was told, as JSON; the same for equal values, always."""
    try:
        return _encoder.encode(told)
    except UnicodeEncodeError:
        return _encoder.encode(_as_utf8(told))


def as_line(event: Event) -> bytes:
    """An event as JSON, without an end of line."""
    return as_json(event)


def as_object(event: Event) -> dict[str, Any]:
    """An event as the object that its line says."""
    whole: dict[str, Any] = json.loads(as_line(event))
    return whole


def _as_utf8(told: msgspec.Struct) -> Any:
    """What a client said has half a character in it, as JSON can and UTF-8 cannot: a ``?`` stands there."""
    text = json.dumps(msgspec.to_builtins(told), ensure_ascii=False)
    return json.loads(text.encode("utf-8", "replace"))
