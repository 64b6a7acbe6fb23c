"""A job succeeds, and history shows nothing of what it made."""

from __future__ import annotations

from farm.sim.faults.job import Run
from farm.sim.faults.strikes import Story, Strike

from .base import Effect, effect

__all__ = ["EmptyOutputs"]


@effect("empty_outputs", "history")
class EmptyOutputs(Effect, frozen=True, kw_only=True):
    """Let the entry's ``outputs`` be empty; its status stays, and so do the files."""

    def on_job(self, run: Run, strike: Strike) -> Story:
        """Forget what was shown."""
        run.entry.outputs.clear()
        run.entry.meta.clear()
        yield from ()
