"""A file is listed, and not there."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Annotated

import msgspec

from comfyfarm.faults.fault import Effect, Firing, effect
from comfyfarm.faults.pauses import Steps
from comfyfarm.faults.targets import RunningJob, WrittenFile
from comfyfarm.units import Duration, Size


@effect("missing", "save")
class Missing(Effect, frozen=True, kw_only=True):
    """Take the files of a save away, although history lists them.

    A static instance writes nothing that could be taken away: it lists a name at once that no file has.

    :ivar lives: how long after it was written a file goes, unless the process ends before; 0: nobody ever sees it.
    """

    lives: Duration = Duration()

    def on_job(self, run: RunningJob, firing: Firing) -> Steps:
        """Have an eye on what is written."""

        def lose(file: WrittenFile) -> None:
            if not file.exists:
                name = PurePosixPath(file.shown["filename"])
                file.shown["filename"] = f"{name.stem}_missing{name.suffix}"
            elif self.lives:
                run.later(self.lives, file.remove)
            else:
                file.remove()

        run.when_saved(lose)
        yield from ()


@effect("cut_file", "save")
class CutFile(Effect, frozen=True, kw_only=True):
    """Leave only the beginning of each file of a save: a disk that is full, a copy that is still under way.

    A static instance writes no file, and nothing happens there.

    :ivar share: how much of it is left.
    :ivar size: so much is left instead, whatever the file had.
    """

    share: Annotated[float, msgspec.Meta(ge=0, lt=1)] = 0.5
    size: Size | None = None

    def on_job(self, run: RunningJob, firing: Firing) -> Steps:
        """Have an eye on what is written."""
        run.when_saved(lambda file: file.cut(self._left))
        yield from ()

    def _left(self, length: int) -> int:
        return int(length * self.share) if self.size is None else int(self.size)


@effect("late", "save")
class Late(Effect, frozen=True, kw_only=True):
    """Let the files of a save appear so long after their node says that they are there.

    Where the process ends before, they never appear.  A static instance writes none, and nothing happens there.

    :ivar duration: how long.
    """

    duration: Duration

    def on_job(self, run: RunningJob, firing: Firing) -> Steps:
        """Have an eye on what is written."""

        def keep_back(file: WrittenFile) -> None:
            file.hide()
            run.later(self.duration, file.reveal)

        run.when_saved(keep_back)
        yield from ()


@effect("misplace", "save")
class Misplace(Effect, frozen=True, kw_only=True):
    """Let history and ``executed`` name another subfolder than the one where the files of a save are.

    :ivar subfolder: the one that is named.
    """

    subfolder: str = "elsewhere"

    def on_job(self, run: RunningJob, firing: Firing) -> Steps:
        """Have an eye on what is written."""

        def mislead(file: WrittenFile) -> None:
            file.shown["subfolder"] = self.subfolder

        run.when_saved(mislead)
        yield from ()


@effect("same_name", "save")
class SameName(Effect, frozen=True, kw_only=True):
    """Give the first file of a save the name that was given last for its prefix, and overwrite what stands there.

    So do two processes that share an output folder and count at the same moment.  In a shared folder the last name may
    be another instance's.  A file that no instance of the farm wrote is never touched, and where there is no earlier
    one, or on a static instance, nothing happens.
    """

    def on_job(self, run: RunningJob, firing: Firing) -> Steps:
        """Count wrongly."""
        run.give_name_again()
        yield from ()
