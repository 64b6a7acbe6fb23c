"""A job cannot be stopped."""

from __future__ import annotations

from farm.sim.faults.job import Run
from farm.sim.faults.strikes import Story, Strike

from .base import Effect, effect

__all__ = ["Deaf"]


@effect("deaf", "start", "node", "step", lasts=True)
class Deaf(Effect, frozen=True, kw_only=True):
    """Let the job hear no interrupt from here to its end: ``POST /interrupt`` is answered, and nothing stops.

    Once the fault is healed or removed, it stops where it looks next.
    """

    def on_job(self, run: Run, strike: Strike) -> Story:
        """Go deaf."""
        run.deafen(strike)
        yield from ()
