"""The evidence of a farm in this process."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from farm.control.bodies import ClockState
from farm.control.clock import get_clock
from farm.evidence.base import Struck
from farm.ledger.timeline.text import as_text
from farm.ledger.verdict import Verdict
from farm.report.page import Run, page
from farm.service import Farm
from farm.truth import read_bounds

__all__ = ["LiveEvidence"]


@dataclass(frozen=True)
class LiveEvidence:
    """Asks the farm itself; it may have been stopped."""

    farm: Farm

    def verdict(self, **bounds: Any) -> Verdict:
        """Judge by all that has happened until now."""
        return self.farm.truth.verdict(read_bounds(bounds))

    def clock(self) -> ClockState:
        """How time passes."""
        return get_clock(self.farm)

    def seed(self) -> int:
        """What decided every draw."""
        assert self.farm.config.farm.seed is not None, "make_farm draws one"
        return self.farm.config.farm.seed

    def faults(self) -> Sequence[Struck]:
        """Those that were armed, in their order."""
        every = [each for each in self.farm.board.armed.values() if not each.is_private]
        return [Struck.of(each.fault.id, each.fault.as_written(), each.fired) for each in every]

    def timeline(self) -> str:
        """What each instance did when, in plain text."""
        return as_text(self.farm.truth.whole().timeline())

    def page(self) -> str:
        """All of it, as one HTML document."""
        return page(Run.of(self.farm.truth.whole()))
