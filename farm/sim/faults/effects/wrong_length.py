"""A ``Content-Length`` that is not the body's."""

from __future__ import annotations

from farm.sim.faults.exchange import Exchange
from farm.sim.faults.moments import EXCHANGE
from farm.sim.faults.strikes import Story, Strike

from .base import Effect, effect

__all__ = ["WrongLength"]


@effect("wrong_length", *EXCHANGE, needs_reply=True)
class WrongLength(Effect, frozen=True, kw_only=True):
    """Declare more bytes than come, or fewer; the whole body is sent, and the connection closed.

    :ivar by: how many bytes more; below 0: fewer, but not less than none.
    """

    by: int

    def __post_init__(self) -> None:
        """Refuse a length that would be right.

        :raises ValueError: naming the key.
        """
        if self.by == 0:
            raise ValueError("by: expected a number other than 0")

    def on_exchange(self, exchange: Exchange, strike: Strike) -> Story:
        """Say the wrong number."""
        assert exchange.reply is not None, "it needs a reply"
        exchange.declared_bytes = max(0, len(exchange.reply.body) + self.by)
        exchange.ending = "close"
        yield from ()
