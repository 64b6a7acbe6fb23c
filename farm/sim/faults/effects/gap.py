"""Something happens while the client is not connected."""

from __future__ import annotations

from farm.sim.faults.frame import Frame
from farm.sim.faults.strikes import Strike
from farm.sim.units import Duration

from .base import Effect, effect

__all__ = ["Gap"]


@effect("gap", "frame", lasts=True)
class Gap(Effect, frozen=True, kw_only=True):
    """Reset the websocket instead of sending the message, and say nothing to that client for a while.

    It may connect anew at once, but is not even greeted: whatever is said until the gap ends, it misses.

    :ivar duration: how long the gap is; healed or removed before, it ends then.
    """

    duration: Duration

    def on_frame(self, frame: Frame, strike: Strike) -> None:
        """Cut the connection."""
        frame.parcels, frame.ending = [], "reset"
        frame.deaf_by, frame.deaf_ms = strike, self.duration
