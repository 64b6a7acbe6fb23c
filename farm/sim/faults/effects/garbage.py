"""An answer that makes no sense."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from farm.sim.faults.exchange import Exchange
from farm.sim.faults.moments import EXCHANGE
from farm.sim.faults.strikes import Story, Strike

from .base import Effect, effect

__all__ = ["Garbage"]

_HTTP_BYTES = 64


@effect("garbage", *EXCHANGE, needs_reply=True)
class Garbage(Effect, frozen=True, kw_only=True):
    """Send drawn bytes after the work, as many as the body has.

    :ivar what: ``body``: under the true status and headers; ``http``: in place of any HTTP, and then the end of the
        connection.
    """

    what: Literal["body", "http"] = "body"

    def on_exchange(self, exchange: Exchange, strike: Strike) -> Story:
        """Say something else."""
        assert exchange.reply is not None, "it needs a reply"
        if self.what == "body":
            drawn = strike.chance.randbytes(len(exchange.reply.body))
            exchange.reply = replace(exchange.reply, body=drawn)
        else:
            exchange.raw, exchange.ending = strike.chance.randbytes(_HTTP_BYTES), "close"
        yield from ()
