"""Nothing comes: the connection is closed without a byte, or a message is not sent."""

from __future__ import annotations

from farm.sim.faults.exchange import Exchange
from farm.sim.faults.frame import Frame
from farm.sim.faults.moments import EXCHANGE
from farm.sim.faults.strikes import Story, Strike

from .base import Effect, effect

__all__ = ["Drop"]


@effect("drop", *EXCHANGE, "frame")
class Drop(Effect, frozen=True, kw_only=True):
    """Close the connection without a byte; before the work, it is not done.

    At ``reply`` the work is done and nobody hears of it: a prompt is accepted and never answered.
    """

    def on_exchange(self, exchange: Exchange, strike: Strike) -> Story:
        """The client sees the end of the connection where the answer should be."""
        exchange.raw, exchange.ending = b"", "close"
        yield from ()

    def on_frame(self, frame: Frame, strike: Strike) -> None:
        """The client does not hear this message; those that follow it does."""
        frame.parcels = []
