"""Nothing more happens, for a while or for ever."""

from __future__ import annotations

from farm.sim.faults.exchange import Exchange
from farm.sim.faults.job import Run
from farm.sim.faults.moments import EXCHANGE, JOB
from farm.sim.faults.strikes import UNTIL_WOKEN, Story, Strike

from .base import Effect, effect

__all__ = ["Hang"]


@effect("hang", *JOB, *EXCHANGE, lasts=True)
class Hang(Effect, frozen=True, kw_only=True):
    """Stand still until the fault is healed or removed.

    A job that hangs hears no interrupt.  What shall end by itself is a ``delay``.
    """

    def on_job(self, run: Run, strike: Strike) -> Story:
        """The worker stands still in the middle of a node: nobody looks whether there was an interrupt."""
        yield from _until_let_go(strike)

    def on_exchange(self, exchange: Exchange, strike: Strike) -> Story:
        """The connection stays open, and nothing comes."""
        yield from _until_let_go(strike)


def _until_let_go(strike: Strike) -> Story:
    try:
        while strike.is_on:
            yield UNTIL_WOKEN
    finally:
        strike.is_on = False    # where the story is dropped (a reset, a client that hangs up) nothing is held any more
