"""Connected, and forgotten."""

from __future__ import annotations

from farm.sim.faults.frame import Frame
from farm.sim.faults.strikes import Strike

from .base import Effect, effect

__all__ = ["Displace"]


@effect("displace", "frame")
class Displace(Effect, frozen=True, kw_only=True):
    """Forget who listens under this client id, as ComfyUI does when an older socket of the same id ends.

    The socket stays open; the message is the last one heard on it.  A client that connects anew hears again.
    """

    def on_frame(self, frame: Frame, strike: Strike) -> None:
        """Forget."""
        frame.is_displaced = True
