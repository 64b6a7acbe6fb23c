"""History first, the file afterwards."""

from __future__ import annotations

from typing import TYPE_CHECKING

from farm.sim.faults.job import Run
from farm.sim.faults.strikes import Story, Strike
from farm.sim.units import Duration

from .base import Effect, effect

if TYPE_CHECKING:
    from farm.sim.saved_file import SavedFile

__all__ = ["Late"]


@effect("late", "save")
class Late(Effect, frozen=True, kw_only=True):
    """Let the files of a save appear so long after their node says that they are there.

    Where the process ends before, they never appear.  A static instance writes none, and nothing happens there.

    :ivar duration: how long.
    """

    duration: Duration

    def on_job(self, run: Run, strike: Strike) -> Story:
        """Have an eye on what is written."""

        def keep_back(file: SavedFile) -> None:
            file.hide()
            run.later(self.duration, file.reveal)

        run.when_saved(keep_back)
        yield from ()
