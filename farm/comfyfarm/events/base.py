"""The fields that all events have."""

from typing import Literal

import msgspec


def snake_case(name: str) -> str:
    """Return an event's ``kind`` in a saved log: ``NodeStarted`` -> ``node_started``."""
    return "".join("_" + letter.lower() if letter.isupper() else letter for letter in name).lstrip("_")


class Event(
    msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag=snake_case, omit_defaults=True, gc=False
):
    """The base of all events: values, of which none refers to itself, so that the garbage collector can ignore them.

    :ivar seq: position in the log, from 1; 0 until the event is published.
    :ivar at_ms: simulated milliseconds since the farm started.
    :ivar instance: empty for an event of the farm itself.
    :ivar epoch: number of the instance's process, from 1; 0 for an event of the farm itself.
    """

    seq: int = 0
    at_ms: int
    instance: str = ""
    epoch: int = 0


Folder = Literal["input", "output", "temp"]
