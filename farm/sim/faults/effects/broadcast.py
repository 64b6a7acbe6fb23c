"""Heard by the wrong ones."""

from __future__ import annotations

from farm.sim.faults.frame import Frame
from farm.sim.faults.strikes import Strike

from .base import Effect, effect

__all__ = ["Broadcast"]


@effect("broadcast", "frame")
class Broadcast(Effect, frozen=True, kw_only=True):
    """Send the message to every socket, not only to the client that it is for."""

    def on_frame(self, frame: Frame, strike: Strike) -> None:
        """Tell them all."""
        frame.to_everybody = True
