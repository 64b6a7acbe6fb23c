"""Effects on the files of a save: missing, cut, late, misplaced, overwritten.

A static instance writes no files: only ``missing`` and ``misplace`` have an effect there.
"""

from pathlib import PurePosixPath
from typing import Annotated

import msgspec

from comfyfarm.faults.fault import Effect, Firing, effect
from comfyfarm.faults.pauses import Steps
from comfyfarm.faults.targets import RunningJob, WrittenFile
from comfyfarm.units import Duration, Size


@effect("missing", "save")
class Missing(Effect, frozen=True, kw_only=True):
    """Remove the files of a save, although history lists them.

    A static instance lists a name at once that no file has.

    :ivar lives: how long after it was written a file is removed, unless the process ends before; 0: at once.
    """

    lives: Duration = Duration()

    def on_job(self, job: RunningJob, firing: Firing) -> Steps:
        def lose(file: WrittenFile) -> None:
            if not file.exists:
                name = PurePosixPath(file.shown["filename"])
                file.shown["filename"] = f"{name.stem}_missing{name.suffix}"
            elif self.lives:
                job.later(self.lives, file.remove)
            else:
                file.remove()

        job.when_saved(lose)
        yield from ()


@effect("cut_file", "save")
class CutFile(Effect, frozen=True, kw_only=True):
    """Leave only the beginning of each file of a save, as with a full disk or an unfinished copy.

    :ivar share: how much of the file is left.
    :ivar size: this many bytes are left instead.
    """

    share: Annotated[float, msgspec.Meta(ge=0, lt=1)] = 0.5
    size: Size | None = None

    def on_job(self, job: RunningJob, firing: Firing) -> Steps:
        job.when_saved(lambda file: file.cut(self._left))
        yield from ()

    def _left(self, size_bytes: int) -> int:
        return int(size_bytes * self.share) if self.size is None else int(self.size)


@effect("late", "save")
class Late(Effect, frozen=True, kw_only=True):
    """Let the files of a save appear later than their node reports them; never if the process ends before."""

    duration: Duration

    def on_job(self, job: RunningJob, firing: Firing) -> Steps:
        def keep_back(file: WrittenFile) -> None:
            file.hide()
            job.later(self.duration, file.reveal)

        job.when_saved(keep_back)
        yield from ()


@effect("misplace", "save")
class Misplace(Effect, frozen=True, kw_only=True):
    """Report the files of a save in another subfolder than the one that has them, in history and in ``executed``.

    :ivar subfolder: the subfolder that is reported.
    """

    subfolder: str = "elsewhere"

    def on_job(self, job: RunningJob, firing: Firing) -> Steps:
        job.when_saved(lambda file: file.shown.update(subfolder=self.subfolder))
        yield from ()


@effect("same_name", "save")
class SameName(Effect, frozen=True, kw_only=True):
    """Give the first file of a save the last name that its prefix was given, and overwrite that file.

    Two processes that share an output folder and count at the same time do the same.  In a shared folder the last
    name may be another instance's.  A file that no instance of the farm wrote is never overwritten; without an earlier
    file nothing happens.
    """

    def on_job(self, job: RunningJob, firing: Firing) -> Steps:
        job.give_name_again()
        yield from ()
