"""Which faults there were, and how often each struck."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import singledispatchmethod

from comfyfarm.events import Event, FaultArmed, FaultExpired, FaultFired, FaultHealed


@dataclass(eq=False)
class FaultRow:
    """One fault, from its arming on.

    :ivar on: the instances that it was about.
    :ivar fired: how often it struck.
    :ivar first_ms: when it did so first.
    :ivar end: why it is over, or empty while it is armed.
    """

    id: str
    do: str
    phase: str
    on: tuple[str, ...]
    fired: int = 0
    first_ms: int | None = None
    end: str = ""


@dataclass(eq=False)
class FaultRows:
    """Follows the faults of a log.

    :ivar rows: by id, in the order in which they were armed; one that is armed again goes on in its row.
    """

    rows: dict[str, FaultRow] = field(default_factory=dict)

    def on_event(self, event: Event) -> None:
        """Take an event into account."""
        if (heard := _HEARD.get(type(event))) is not None:
            heard(self, event)

    @singledispatchmethod
    def _on_event(self, event: Event) -> None:
        """Most are about no fault."""

    @_on_event.register
    def _(self, event: FaultArmed) -> None:
        at = event.fault.get("at")
        phase = at.get("phase", "") if isinstance(at, dict) else at or ""
        row = FaultRow(event.id, str(event.fault.get("do", "")), str(phase), event.on)
        if (before := self.rows.get(event.id)) is not None:
            row.fired, row.first_ms = before.fired, before.first_ms
        self.rows[event.id] = row

    @_on_event.register
    def _(self, event: FaultFired) -> None:
        row = self.rows.setdefault(event.id, FaultRow(event.id, event.do, event.phase, (event.instance,)))
        row.fired += 1
        row.first_ms = event.at_ms if row.first_ms is None else row.first_ms

    @_on_event.register(FaultExpired | FaultHealed)
    def _(self, event: FaultExpired | FaultHealed) -> None:
        if event.id in self.rows:
            self.rows[event.id].end = event.reason


# By kind: asking singledispatchmethod itself for each event takes ten times as long.
_HEARD = dict(vars(FaultRows)["_on_event"].dispatcher.registry)
del _HEARD[object]
