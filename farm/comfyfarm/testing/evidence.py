"""What a test may ask of a farm to judge by, wherever that farm runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, Self

import msgspec

from comfyfarm.analysis.verdict import Verdict
from comfyfarm.control.schema.farm import ClockState


class FaultFirings(msgspec.Struct, frozen=True, kw_only=True):
    """A fault, and how often it has struck.

    :ivar on: how often on each instance that it has struck.
    """

    id: str
    do: str
    phase: str
    on: dict[str, int]

    @classmethod
    def of(cls, fault_id: str, fault: Mapping[str, Any], fired: Mapping[str, int]) -> Self:
        """Of a fault as it is written."""
        at = fault.get("at")
        phase = at.get("phase") if isinstance(at, Mapping) else at
        on = {name: count for name, count in fired.items() if count}
        return cls(id=fault_id, do=str(fault.get("do")), phase=str(phase), on=on)


class FarmView(Protocol):
    """What a farm knows of itself and of who used it; asking changes nothing."""

    def verdict(self, **bounds: Any) -> Verdict:
        """Judge by all that has happened until now."""

    def clock(self) -> ClockState:
        """How time passes."""

    def seed(self) -> int:
        """What decided every draw."""

    def faults(self) -> Sequence[FaultFirings]:
        """Those that were armed, in their order."""

    def timeline(self) -> str:
        """What each instance did when, in plain text."""

    def page(self) -> str:
        """All of it, as one HTML document."""
