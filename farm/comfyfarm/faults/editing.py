"""Read and change the contents of websocket messages, text or binary."""

import json
from collections.abc import Callable
from typing import Any

Data = dict[str, Any]

_WITH_METADATA = 4      # the only binary event that contains JSON
_WORD = 4               # bytes of each of the two numbers before that JSON: the event, and the length of the JSON


def encode_message(kind: str, data: Any) -> str:
    return json.dumps({"type": kind, "data": data})


def type_of(content: str | bytes) -> str:
    """Return the type of a message; ``binary-1`` and so on for a binary one."""
    if isinstance(content, bytes):
        return f"binary-{_event_number(content)}"
    return str(json.loads(content)["type"])


def prompt_id_in(content: str | bytes) -> str | None:
    found = (_data_in(content) or {}).get("prompt_id")
    return found if isinstance(found, str) else None


def remaining_in(content: str | bytes) -> int | None:
    found: Any = _data_in(content)
    for key in ("status", "exec_info", "queue_remaining"):
        found = found.get(key) if isinstance(found, dict) else None
    return found if isinstance(found, int) else None


def with_data(content: str | bytes, change: Callable[[Data], Data]) -> str | bytes:
    """Return the message with changed data; the same message if it has no data that is an object."""
    data = _data_in(content)
    if data is None:
        return content
    if isinstance(content, str):
        return encode_message(type_of(content), change(data))
    encoded = json.dumps(change(data)).encode()
    return content[:_WORD] + len(encoded).to_bytes(_WORD, "big") + encoded + content[_end_of_json(content):]


def _data_in(content: str | bytes) -> Data | None:
    if isinstance(content, str):
        data = json.loads(content)["data"]
    elif _event_number(content) == _WITH_METADATA:
        data = json.loads(content[2 * _WORD:_end_of_json(content)])
    else:
        return None
    return data if isinstance(data, dict) else None


def _event_number(content: bytes) -> int:
    return int.from_bytes(content[:_WORD], "big")


def _end_of_json(content: bytes) -> int:
    return 2 * _WORD + int.from_bytes(content[_WORD:2 * _WORD], "big")
