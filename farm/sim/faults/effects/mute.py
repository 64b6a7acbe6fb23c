"""Open, and silent."""

from __future__ import annotations

from farm.sim.faults.frame import Frame
from farm.sim.faults.strikes import Strike

from .base import Effect, effect

__all__ = ["Mute"]


@effect("mute", "frame", lasts=True)
class Mute(Effect, frozen=True, kw_only=True):
    """Send this socket nothing more, this message neither; it stays open.

    Until the fault is healed or removed, or the socket ends.  A client that connects anew is a new match.
    """

    def on_frame(self, frame: Frame, strike: Strike) -> None:
        """Fall silent."""
        frame.parcels, frame.muted_by = [], strike
