"""Events as lines of JSON."""

from __future__ import annotations

import json
from typing import Any

import msgspec

from farm.sim.events import Event

__all__ = ["as_line", "as_object"]

_encoder = msgspec.json.Encoder()


def as_line(event: Event) -> bytes:
    """An event as JSON, without an end of line."""
    try:
        return _encoder.encode(event)
    except UnicodeEncodeError:
        return _encoder.encode(_as_utf8(event))


def as_object(event: Event) -> dict[str, Any]:
    """An event as the object that its line says."""
    whole: dict[str, Any] = json.loads(as_line(event))
    return whole


def _as_utf8(event: Event) -> Any:
    """An event in which a client said half a character, as JSON can and UTF-8 cannot: a ``?`` stands there."""
    text = json.dumps(msgspec.to_builtins(event), ensure_ascii=False)
    return json.loads(text.encode("utf-8", "replace"))
