"""Only the beginning of a file is on the disk."""

from __future__ import annotations

from typing import Annotated

import msgspec

from farm.sim.faults.job import Run
from farm.sim.faults.strikes import Story, Strike
from farm.sim.units import Size

from .base import Effect, effect

__all__ = ["CutFile"]


@effect("cut_file", "save")
class CutFile(Effect, frozen=True, kw_only=True):
    """Leave only the beginning of each file of a save: a disk that is full, a copy that is still under way.

    A static instance writes no file, and nothing happens there.

    :ivar share: how much of it is left.
    :ivar size: so much is left instead, whatever the file had.
    """

    share: Annotated[float, msgspec.Meta(ge=0, lt=1)] = 0.5
    size: Size | None = None

    def on_job(self, run: Run, strike: Strike) -> Story:
        """Have an eye on what is written."""
        run.when_saved(lambda file: file.cut(self._left))
        yield from ()

    def _left(self, length: int) -> int:
        return int(length * self.share) if self.size is None else int(self.size)
