"""A clean goodbye in the middle of everything."""

from __future__ import annotations

from typing import Annotated

import msgspec

from farm.sim.faults.frame import Frame
from farm.sim.faults.strikes import Strike

from .base import Effect, effect

__all__ = ["Close"]

_MAY_BE_SENT = (range(1000, 1004), range(1007, 1015), range(3000, 5000))


@effect("close", "frame")
class Close(Effect, frozen=True, kw_only=True):
    """Close the websocket as a server does that has nothing more to say; the message is the last one heard.

    :ivar code: why, as a close frame says it: 1000 for a normal end, 1001 for a server that goes away.
    :ivar reason: the same in words.
    """

    code: int = 1000
    reason: Annotated[str, msgspec.Meta(max_length=120)] = ""

    def __post_init__(self) -> None:
        """Refuse a code that no close frame may bear.

        :raises ValueError: naming those that it may.
        """
        if not any(self.code in allowed for allowed in _MAY_BE_SENT):
            raise ValueError(f"code: expected one of 1000-1003, 1007-1014, 3000-4999, got {self.code}")

    def on_frame(self, frame: Frame, strike: Strike) -> None:
        """Send it, say goodbye, hang up."""
        frame.ending, frame.code, frame.reason = "close", self.code, self.reason
