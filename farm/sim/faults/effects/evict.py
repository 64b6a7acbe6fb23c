"""A history entry is gone before anybody has read it."""

from __future__ import annotations

from farm.sim.faults.job import Run
from farm.sim.faults.strikes import Story, Strike
from farm.sim.units import Duration

from .base import Effect, effect

__all__ = ["Evict"]


@effect("evict", "history")
class Evict(Effect, frozen=True, kw_only=True):
    """Drop the job's history entry, as one that too many others have followed.

    :ivar lives: how long after the job's end; 0: nobody ever sees it.
    """

    lives: Duration = Duration()

    def on_job(self, run: Run, strike: Strike) -> Story:
        """Have it dropped."""
        run.forget_entry(self.lives)
        yield from ()
