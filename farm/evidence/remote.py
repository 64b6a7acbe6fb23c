"""The evidence of a farm in another process."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from farm.control.bodies import ClockState
from farm.control_client import SyncFarmControl
from farm.evidence.base import Struck
from farm.ledger.verdict import Verdict

__all__ = ["RemoteEvidence"]


@dataclass(frozen=True)
class RemoteEvidence:
    """Asks the farm's control server."""

    control: SyncFarmControl

    def verdict(self, **bounds: Any) -> Verdict:
        """Judge by all that has happened until now."""
        return self.control.verdict(**bounds)

    def clock(self) -> ClockState:
        """How time passes."""
        return self.control.clock()

    def seed(self) -> int:
        """What decided every draw."""
        return self.control.state().seed

    def faults(self) -> Sequence[Struck]:
        """Those that were armed, in their order."""
        return [Struck.of(each.id, each.fault, each.fired) for each in self.control.faults().faults]

    def timeline(self) -> str:
        """What each instance did when, in plain text."""
        return self.control.timeline_as("text")

    def page(self) -> str:
        """All of it, as one HTML document."""
        return self.control.report()
