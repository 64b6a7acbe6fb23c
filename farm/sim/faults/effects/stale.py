"""Old news: what was shown once is shown again, as out of a cache."""

from __future__ import annotations

from typing import Any, TypeVar

from farm.sim.faults.exchange import Exchange
from farm.sim.faults.frame import Frame
from farm.sim.faults.shown import change_message, queue_remaining
from farm.sim.faults.strikes import Story, Strike
from farm.sim.units import Duration

from .base import Effect, effect

__all__ = ["Stale"]

T = TypeVar("T")


@effect("stale", "status")
class Stale(Effect, frozen=True, kw_only=True):
    """Show at every strike what was true at the first one.

    Each path remembers its own answer, and ``status`` messages their own number.

    :ivar refresh: look anew when what is shown has become so old; ``None``: never.
    """

    refresh: Duration | None = None

    def on_exchange(self, exchange: Exchange, strike: Strike) -> Story:
        """Answer as before."""
        facts = exchange.facts
        key = f"{facts.method} {facts.route}?{exchange.query}"
        exchange.reply = self._remembered(strike, key, exchange.at_ms, exchange.reply)
        yield from ()

    def on_frame(self, frame: Frame, strike: Strike) -> None:
        """Say the old number; the rest of the message is the client's own."""
        change_message(frame, lambda shown: queue_remaining(shown).update(self._number(shown, strike)))

    def _number(self, shown: dict[str, Any], strike: Strike) -> dict[str, Any]:
        return self._remembered(strike, "frame", strike.at_ms, dict(queue_remaining(shown)))

    def _remembered(self, strike: Strike, key: str, at_ms: int, shown: T) -> T:
        """What was shown before under this key, or what is shown now where that is too old."""
        since_ms, before = strike.memory.get(key, (None, None))
        if since_ms is not None and (self.refresh is None or at_ms - since_ms < self.refresh):
            return before  # type: ignore[no-any-return]
        strike.memory[key] = at_ms, shown
        return shown
