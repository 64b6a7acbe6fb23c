"""Something is missing in what is said."""

from __future__ import annotations

from farm.sim.faults.frame import Frame
from farm.sim.faults.strikes import Strike

from .base import Effect, effect

__all__ = ["Strip"]


@effect("strip", "frame")
class Strip(Effect, frozen=True, kw_only=True):
    """Leave a key out of the message's data; a message that has it not stays as it is.

    :ivar key: which.
    """

    key: str = "prompt_id"

    def on_frame(self, frame: Frame, strike: Strike) -> None:
        """Leave it out."""
        frame.change_data(lambda data: {key: value for key, value in data.items() if key != self.key})
