"""Two jobs write to one file."""

from __future__ import annotations

from farm.sim.faults.job import Run
from farm.sim.faults.strikes import Story, Strike

from .base import Effect, effect

__all__ = ["SameName"]


@effect("same_name", "save")
class SameName(Effect, frozen=True, kw_only=True):
    """Give the first file of a save the name that was given last for its prefix, and overwrite what stands there.

    So do two processes that share an output folder and count at the same moment.  In a shared folder the last name may
    be another instance's.  A file that no instance of the farm wrote is never touched, and where there is no earlier
    one, or on a static instance, nothing happens.
    """

    def on_job(self, run: Run, strike: Strike) -> Story:
        """Count wrongly."""
        run.give_name_again()
        yield from ()
