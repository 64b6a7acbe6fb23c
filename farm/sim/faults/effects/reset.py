"""The connection is reset."""

from __future__ import annotations

from farm.sim.faults.exchange import Exchange
from farm.sim.faults.frame import Frame
from farm.sim.faults.moments import EXCHANGE
from farm.sim.faults.strikes import Story, Strike

from .base import Effect, effect

__all__ = ["Reset"]


@effect("reset", *EXCHANGE, "frame")
class Reset(Effect, frozen=True, kw_only=True):
    """Reset the connection (RST) in place of the answer, or of a message; before the work, it is not done."""

    def on_exchange(self, exchange: Exchange, strike: Strike) -> Story:
        """The client sees that its peer reset the connection."""
        exchange.raw, exchange.ending = b"", "reset"
        yield from ()

    def on_frame(self, frame: Frame, strike: Strike) -> None:
        """The websocket is gone without a word, and the message with it."""
        frame.parcels, frame.ending = [], "reset"
