"""An answer that comes drop by drop."""

from __future__ import annotations

from typing import Annotated

import msgspec

from farm.sim.faults.exchange import Exchange
from farm.sim.faults.moments import EXCHANGE
from farm.sim.faults.strikes import Story, Strike
from farm.sim.units import Duration, Size

from .base import Effect, effect

__all__ = ["Drip"]


@effect("drip", *EXCHANGE, needs_reply=True)
class Drip(Effect, frozen=True, kw_only=True):
    """Send the body in small pieces, whole in the end; status and headers come with the first.

    :ivar piece: how much at once.
    :ivar pieces: into how many, instead.
    :ivar gap: the time before each further one.
    """

    piece: Size | None = None
    pieces: Annotated[int, msgspec.Meta(ge=1)] | None = None
    gap: Duration

    def __post_init__(self) -> None:
        """Refuse what can never come to an end.

        :raises ValueError: naming the key.
        """
        if (self.piece is None) == (self.pieces is None):
            raise ValueError("piece: expected either piece or pieces")
        if self.piece == 0:
            raise ValueError("piece: expected at least 1B")

    def on_exchange(self, exchange: Exchange, strike: Strike) -> Story:
        """Take time in the middle."""
        assert exchange.reply is not None, "it needs a reply"
        whole = len(exchange.reply.body)
        exchange.piece_bytes = max(1, -(-whole // self.pieces)) if self.pieces is not None else self.piece
        exchange.gap_ms = self.gap
        yield from ()
