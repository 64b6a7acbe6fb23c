"""The view of a farm's run that assertions and reports have, in this process or from another one."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, Self, Unpack

import msgspec

from comfyfarm.analysis.journal import Journal
from comfyfarm.analysis.placement.placement import Placement
from comfyfarm.analysis.verdict import Verdict
from comfyfarm.control.schema.analysis import DeliveryFacts, OrderReport, TrialFacts
from comfyfarm.control.schema.farm import ClockState
from comfyfarm.events.stamp import Stamp

WHICH = frozenset({"trial", "since", "client"})
"""The arguments of ``verdict`` and ``placement`` that say which part of the log these are about."""



class FaultFirings(msgspec.Struct, frozen=True, kw_only=True):
    """How often a fault has fired.

    :ivar on: the number of firings by instance; instances without one are left out.
    """

    id: str
    do: str
    phase: str
    on: dict[str, int]

    @classmethod
    def of(cls, fault_id: str, table: Mapping[str, Any], fired: Mapping[str, int]) -> Self:
        """Return the firings of a fault that is given as its table in the configuration."""
        at = table.get("at")
        phase = at.get("phase") if isinstance(at, Mapping) else at
        on = {name: count for name, count in fired.items() if count}
        return cls(id=fault_id, do=str(table.get("do")), phase=str(phase), on=on)


class FarmView(Protocol):
    """What a farm in this process or in another one knows about its run."""

    def verdict(self, **settings: Any) -> Verdict: ...

    def placement(self, **settings: Any) -> Placement: ...

    def trial(self, name: str | None, **facts: Unpack[TrialFacts]) -> str: ...

    def report_orders(self, *reports: OrderReport) -> None: ...

    def delivered(self, job: str, **facts: Unpack[DeliveryFacts]) -> Stamp | None: ...

    def journal(self) -> Journal: ...

    def clock(self) -> ClockState: ...

    def seed(self) -> int: ...

    def faults(self) -> Sequence[FaultFirings]:
        """Return all faults in the order in which they were armed."""

    def timeline(self) -> str:
        """Return the timeline as plain text."""

    def page(self) -> str:
        """Return the report as an HTML document."""
