"""A file is listed, and not there."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from farm.sim.faults.job import Run
from farm.sim.faults.strikes import Story, Strike
from farm.sim.units import Duration

from .base import Effect, effect

if TYPE_CHECKING:
    from farm.sim.saved_file import SavedFile

__all__ = ["Missing"]


@effect("missing", "save")
class Missing(Effect, frozen=True, kw_only=True):
    """Take the files of a save away, although history lists them.

    A static instance writes nothing that could be taken away: it lists a name at once that no file has.

    :ivar lives: how long after it was written a file goes, unless the process ends before; 0: nobody ever sees it.
    """

    lives: Duration = Duration()

    def on_job(self, run: Run, strike: Strike) -> Story:
        """Have an eye on what is written."""

        def lose(file: SavedFile) -> None:
            if file.place is None:
                name = PurePosixPath(file.shown["filename"])
                file.shown["filename"] = f"{name.stem}_missing{name.suffix}"
            elif self.lives:
                run.later(self.lives, file.remove)
            else:
                file.remove()

        run.when_saved(lose)
        yield from ()
