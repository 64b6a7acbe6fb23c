"""What every event has: its place in the log, its moment, and whose it is."""

from __future__ import annotations

from typing import Literal

import msgspec


def snake_case(name: str) -> str:
    """``NodeStarted`` -> ``node_started``: the ``kind`` of an event in a saved log."""
    return "".join("_" + letter.lower() if letter.isupper() else letter for letter in name).lstrip("_")


class Event(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag=snake_case, omit_defaults=True):
    """A fact about the farm.

    :ivar seq: its place in the log, from 1; 0 until it is published.
    :ivar at_ms: when, in simulated milliseconds since the farm started.
    :ivar instance: whose, or empty for the farm itself.
    :ivar epoch: how often that instance has been started, from 1; 0 for the farm itself.
    """

    seq: int = 0
    at_ms: int
    instance: str = ""
    epoch: int = 0


Folder = Literal["input", "output", "temp"]
