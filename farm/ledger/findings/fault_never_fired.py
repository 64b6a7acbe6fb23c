"""A test that did not test what it set out to: the fault never came."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from farm.sim.events import Event, FaultArmed, FaultFired

from .base import Finding, Known, Rule, moment, rule

__all__ = ["FaultNeverFired"]


@rule("fault_never_fired")
@dataclass(eq=False)
class FaultNeverFired(Rule):
    """A fault was armed, and has struck no instance so far."""

    hears = (FaultArmed, FaultFired)
    by_absence = True
    _waiting: dict[str, FaultArmed] = field(default_factory=dict)

    def hear(self, event: Event, known: Known) -> None:
        """Expect a fault, or have it."""
        if isinstance(event, FaultArmed):
            self._waiting[event.id] = event
        elif isinstance(event, FaultFired):
            self._waiting.pop(event.id, None)

    def conclude(self, known: Known) -> Iterator[Finding]:
        """One finding for each such fault."""
        for fault_id, armed in self._waiting.items():
            yield Finding(
                finding=self.name,
                severity="note",
                instance=armed.on[0] if len(armed.on) == 1 else "",
                events=(armed.seq,),
                says=f"The fault {fault_id} ({armed.fault.get('do', '?')}), armed at {moment(armed.at_ms)} on "
                f"{', '.join(armed.on)}, never struck.",
            )
