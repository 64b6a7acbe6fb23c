"""A message that no client has heard of."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec

from farm.sim.faults.frame import Frame, Parcel
from farm.sim.faults.said import say
from farm.sim.faults.strikes import Strike

from .base import Effect, effect

__all__ = ["Unknown"]

_BYTES = 16     # of nonsense behind the number of a message in bytes


@effect("unknown", "frame")
class Unknown(Effect, frozen=True, kw_only=True):
    """Send a message of an unknown type just before this one.

    :ivar type: what the type is called.
    :ivar data: what it says.
    :ivar binary: send a message in bytes instead, of the event with this number.
    """

    type: str = "something_new"
    data: dict[str, Any] = msgspec.field(default_factory=dict)
    binary: Annotated[int, msgspec.Meta(ge=0, lt=2**32)] | None = None

    def on_frame(self, frame: Frame, strike: Strike) -> None:
        """Say something strange first."""
        frame.parcels.insert(0, Parcel(self._content(strike)))

    def _content(self, strike: Strike) -> str | bytes:
        if self.binary is None:
            return say(self.type, self.data)
        return self.binary.to_bytes(4, "big") + strike.chance.randbytes(_BYTES)
