"""Down, up, and down again."""

from __future__ import annotations

from typing import Annotated

import msgspec

from farm.sim.faults.moments import EXCHANGE, JOB
from farm.sim.faults.process import Kept, Process
from farm.sim.faults.strikes import Story, Strike
from farm.sim.units import Duration

from .base import Effect, effect

__all__ = ["Flap"]


@effect("flap", "process", *JOB, *EXCHANGE, lasts=True)
class Flap(Effect, frozen=True, kw_only=True):
    """Crash and come back, several times; in the end it is up.

    :ivar down: how long it is down each time, its boot apart, but a millisecond at least.
    :ivar up: how long it is up between two falls.
    :ivar times_down: how often it falls.
    :ivar keep: what is not lost each time: ``queue``, ``history``, ``uploads``, ``models``.
    """

    down: Duration
    up: Duration
    times_down: Annotated[int, msgspec.Meta(ge=1)] = 3
    keep: tuple[Kept, ...] = ()

    def on_process(self, process: Process, strike: Strike) -> Story:
        """Fall, stand up, and do so again."""
        for left in reversed(range(self.times_down)):
            process.crash(self.keep)
            yield max(1, self.down)
            process.start()
            if not left or not strike.is_on:
                return
            yield self.up
            if not strike.is_on:
                return
