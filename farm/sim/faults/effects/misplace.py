"""A file is not where history says."""

from __future__ import annotations

from typing import TYPE_CHECKING

from farm.sim.faults.job import Run
from farm.sim.faults.strikes import Story, Strike

from .base import Effect, effect

if TYPE_CHECKING:
    from farm.sim.saved_file import SavedFile

__all__ = ["Misplace"]


@effect("misplace", "save")
class Misplace(Effect, frozen=True, kw_only=True):
    """Let history and ``executed`` name another subfolder than the one where the files of a save are.

    :ivar subfolder: the one that is named.
    """

    subfolder: str = "elsewhere"

    def on_job(self, run: Run, strike: Strike) -> Story:
        """Have an eye on what is written."""

        def mislead(file: SavedFile) -> None:
            file.shown["subfolder"] = self.subfolder

        run.when_saved(mislead)
        yield from ()
