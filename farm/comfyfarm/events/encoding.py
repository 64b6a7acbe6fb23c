"""Encoding of events, and of results derived from them, as JSON."""

import json
from typing import Any

import msgspec

from comfyfarm.events import Event

_encoder = msgspec.json.Encoder()


def as_json(value: msgspec.Struct | dict[str, Any]) -> bytes:
    """Encode an event or a result as JSON, in one line; equal values have equal bytes."""
    try:
        return _encoder.encode(value)
    except UnicodeEncodeError:
        # A client's JSON may contain a lone surrogate, which UTF-8 cannot encode: it becomes "?".
        text = json.dumps(msgspec.to_builtins(value), ensure_ascii=False)
        return _encoder.encode(json.loads(text.encode("utf-8", "replace")))


def as_object(event: Event) -> dict[str, Any]:
    """Return an event as a JSON object."""
    fields: dict[str, Any] = json.loads(as_json(event))
    return fields
