"""What an instance shows of its state, in answers and in ``status`` messages, and how to show something else."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from json import dumps, loads
from typing import Any

from .exchange import Exchange
from .frame import Frame, Parcel

__all__ = ["change_answer", "change_message", "queue_remaining"]

Change = Callable[[dict[str, Any]], None]


def change_answer(exchange: Exchange, change: Change) -> None:
    """Change the object that an answer holds; one that holds none (a refusal, a HEAD) stays as it is."""
    reply = exchange.reply
    shown = _object(reply.body) if reply is not None and reply.status == 200 else None
    if reply is not None and shown is not None:
        change(shown)
        exchange.reply = replace(reply, body=dumps(shown).encode())


def change_message(frame: Frame, change: Change) -> None:
    """Change the object that a websocket message holds."""
    shown = _object(frame.content)
    if shown is not None:
        change(shown)
        frame.parcels = [Parcel(dumps(shown), each.after_ms) for each in frame.parcels]


def queue_remaining(message: dict[str, Any]) -> dict[str, Any]:
    """Where a ``status`` message says how much there is to do; empty where it does not."""
    found = message.get("data", {}).get("status", {}).get("exec_info", {})
    return found if isinstance(found, dict) else {}


def _object(content: str | bytes) -> dict[str, Any] | None:
    try:
        shown = loads(content)
    except ValueError:
        return None
    return shown if isinstance(shown, dict) else None
