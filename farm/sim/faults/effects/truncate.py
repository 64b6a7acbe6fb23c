"""An answer that is cut short."""

from __future__ import annotations

from typing import Annotated

import msgspec

from farm.sim.faults.exchange import Exchange
from farm.sim.faults.moments import EXCHANGE
from farm.sim.faults.strikes import Story, Strike
from farm.sim.units import Size

from .base import Effect, effect

__all__ = ["Truncate"]


@effect("truncate", *EXCHANGE, needs_reply=True)
class Truncate(Effect, frozen=True, kw_only=True):
    """Send the first part of the body under the whole one's ``Content-Length``, and close the connection.

    :ivar bytes: so much is sent.
    :ivar share: of the body, instead; where neither is given, half of it.
    """

    bytes: Size | None = None
    share: Annotated[float, msgspec.Meta(ge=0, lt=1)] | None = None

    def __post_init__(self) -> None:
        """Refuse two answers to one question.

        :raises ValueError: naming the key.
        """
        if self.bytes is not None and self.share is not None:
            raise ValueError("share: expected bytes or share, not both")

    def on_exchange(self, exchange: Exchange, strike: Strike) -> Story:
        """Stop in the middle."""
        assert exchange.reply is not None, "it needs a reply"
        whole = len(exchange.reply.body)
        share = 0.5 if self.share is None else self.share
        exchange.body_bytes = int(whole * share) if self.bytes is None else min(whole, self.bytes)
        exchange.ending = "close"
        yield from ()
