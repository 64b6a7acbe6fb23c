"""Said twice."""

from __future__ import annotations

from typing import Annotated

import msgspec

from farm.sim.faults.frame import Frame
from farm.sim.faults.strikes import Strike

from .base import Effect, effect

__all__ = ["Duplicate"]


@effect("duplicate", "frame")
class Duplicate(Effect, frozen=True, kw_only=True):
    """Send the message more than once.

    :ivar copies: how many more go out right behind it (``times`` says how often the fault strikes).
    """

    copies: Annotated[int, msgspec.Meta(ge=1)] = 1

    def on_frame(self, frame: Frame, strike: Strike) -> None:
        """Say it again."""
        frame.parcels *= 1 + self.copies
