"""In the wrong order."""

from __future__ import annotations

from farm.sim.faults.frame import Frame
from farm.sim.faults.strikes import Strike

from .base import Effect, effect

__all__ = ["Reorder"]


@effect("reorder", "frame")
class Reorder(Effect, frozen=True, kw_only=True):
    """Let the socket's next message overtake this one.

    Where every message matches, neighbours change places.  One that none follows does not go out.
    """

    def on_frame(self, frame: Frame, strike: Strike) -> None:
        """Wait for the next one."""
        frame.waits_for_next = True
