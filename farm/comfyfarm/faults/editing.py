"""What does a message to a client say, and how would the same message say something else?"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

Data = dict[str, Any]

_WITH_METADATA = 4      # of the messages in bytes the only one that says more than bytes
_WORD = 4               # bytes of each of its two numbers: which message it is, and how long its JSON is


def encode_message(kind: str, data: Any) -> str:
    """A message in text."""
    return json.dumps({"type": kind, "data": data})


def type_of(content: str | bytes) -> str:
    """Its type; ``binary-1`` and so on for one in bytes."""
    if isinstance(content, bytes):
        return f"binary-{_number(content)}"
    return str(json.loads(content)["type"])


def prompt_id_in(content: str | bytes) -> str | None:
    """The job that it says it is about, or ``None``."""
    found = (_data_in(content) or {}).get("prompt_id")
    return found if isinstance(found, str) else None


def remaining_in(content: str | bytes) -> int | None:
    """The ``queue_remaining`` that it shows, or ``None``."""
    found: Any = _data_in(content)
    for key in ("status", "exec_info", "queue_remaining"):
        found = found.get(key) if isinstance(found, dict) else None
    return found if isinstance(found, int) else None


def with_data(content: str | bytes, change: Callable[[Data], Data]) -> str | bytes:
    """The message with other data; the same one where it has none that could be changed."""
    data = _data_in(content)
    if data is None:
        return content
    if isinstance(content, str):
        return encode_message(type_of(content), change(data))
    described = json.dumps(change(data)).encode()
    return content[:_WORD] + len(described).to_bytes(_WORD, "big") + described + content[_end(content):]


def _data_in(content: str | bytes) -> Data | None:
    if isinstance(content, str):
        data = json.loads(content)["data"]
    elif _number(content) == _WITH_METADATA:
        data = json.loads(content[2 * _WORD:_end(content)])
    else:
        return None
    return data if isinstance(data, dict) else None


def _number(content: bytes) -> int:
    return int.from_bytes(content[:_WORD], "big")


def _end(content: bytes) -> int:
    """Where the JSON of a picture with metadata ends."""
    return 2 * _WORD + int.from_bytes(content[_WORD:2 * _WORD], "big")
