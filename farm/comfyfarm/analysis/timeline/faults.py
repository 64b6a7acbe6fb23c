"""The faults of a run, and how often each fired."""

from dataclasses import dataclass, field

from comfyfarm.events import FaultArmed, FaultExpired, FaultFired, FaultHealed
from comfyfarm.events.handler import EventHandler, on


@dataclass(eq=False)
class FaultRow:
    """One fault.

    :ivar on: its instances.
    :ivar fired: how often it fired.
    :ivar first_ms: when it first fired, or ``None``.
    :ivar end: the reason for its end; empty while it is armed.
    """

    id: str
    do: str
    phase: str
    on: tuple[str, ...]
    fired: int = 0
    first_ms: int | None = None
    end: str = ""


@dataclass(eq=False)
class FaultRows(EventHandler):
    """Follows the faults of a log.

    :ivar rows: by id, in the order in which they were armed; a fault that is armed again keeps its row.
    """

    rows: dict[str, FaultRow] = field(default_factory=dict)

    @on(FaultArmed)
    def _on_fault_armed(self, event: FaultArmed) -> None:
        at = event.fault.get("at")
        phase = at.get("phase", "") if isinstance(at, dict) else at or ""
        row = FaultRow(event.id, str(event.fault.get("do", "")), str(phase), event.on)
        if (before := self.rows.get(event.id)) is not None:
            row.fired, row.first_ms = before.fired, before.first_ms
        self.rows[event.id] = row

    @on(FaultFired)
    def _on_fault_fired(self, event: FaultFired) -> None:
        row = self.rows.setdefault(event.id, FaultRow(event.id, event.do, event.phase, (event.instance,)))
        row.fired += 1
        row.first_ms = event.at_ms if row.first_ms is None else row.first_ms

    @on(FaultExpired, FaultHealed)
    def _on_fault_expired(self, event: FaultExpired | FaultHealed) -> None:
        if event.id in self.rows:
            self.rows[event.id].end = event.reason
