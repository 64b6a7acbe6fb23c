"""When was each instance up, and when could it be given work?"""

from __future__ import annotations

from dataclasses import dataclass, field

from comfyfarm.analysis.instances import FleetState
from comfyfarm.events import (
    Configured,
    Draining,
    Event,
    Frozen,
    Paused,
    Refusing,
    Resumed,
    ServerReady,
    ServerStopped,
    Thawed,
)

_CHANGING = (Draining, Frozen, Paused, Refusing, Resumed, ServerReady, ServerStopped, Thawed)


@dataclass(frozen=True, slots=True)
class AvailabilityChange:
    """How an instance stood from a moment on.

    :ivar seq: of the event that began it.
    :ivar is_up: its port takes connections.
    :ivar is_usable: it is up, answers, is not drained, and its worker goes on.
    """

    seq: int
    at_ms: int
    instance: str
    is_up: bool
    is_usable: bool


@dataclass(eq=False)
class AvailabilityPeriods:
    """All spells of all instances, in the order of the log; before its first one, an instance was down.

    One for each change, so that memory is bounded by how often instances go and come, not by what they do.
    """

    spells: list[AvailabilityChange] = field(default_factory=list)
    _latest: dict[str, tuple[bool, bool]] = field(default_factory=dict)

    def on_event(self, event: Event, fleet: FleetState) -> None:
        """Take an event into account that the fleet has heard."""
        if isinstance(event, Configured):
            self._latest.update(dict.fromkeys(fleet.members, (False, False)))
        elif event.instance and (isinstance(event, _CHANGING) or event.instance not in self._latest):
            self._look(event, fleet)

    def _look(self, event: Event, fleet: FleetState) -> None:
        member = fleet.member(event.instance)
        is_usable = member.is_available and not (member.is_draining or member.is_paused)
        now = member.is_up, is_usable
        if self._latest.get(event.instance, (False, False)) != now:
            self.spells.append(AvailabilityChange(event.seq, event.at_ms, event.instance, *now))
        self._latest[event.instance] = now

    def up_ms(self, instance: str, from_ms: int, to_ms: int) -> int:
        """How long an instance was up between two moments."""
        total_ms, is_up, since_ms = 0, False, from_ms
        for each in self.spells:
            if each.instance == instance:
                at_ms = min(max(each.at_ms, from_ms), to_ms)
                total_ms += (at_ms - since_ms) * is_up
                is_up, since_ms = each.is_up, at_ms
        return total_ms + (to_ms - since_ms) * is_up
