"""The periods in which each instance was up and in which it could take work."""

from dataclasses import dataclass, field

from comfyfarm import events
from comfyfarm.analysis.instances import FleetState

AVAILABILITY_EVENTS: frozenset[type[events.Event]] = frozenset({
    *(events.Configured, events.Draining, events.Frozen, events.Thawed, events.Paused, events.Resumed),
    *(events.Refusing, events.ServerReady, events.ServerStopped),
})


@dataclass(frozen=True, slots=True)
class AvailabilityChange:
    """The availability of an instance from one event on.

    :ivar is_up: its port takes connections.
    :ivar is_usable: it is up, responds, is not draining, and its worker is not paused.
    """

    seq: int
    at_ms: int
    instance: str
    is_up: bool
    is_usable: bool


@dataclass(eq=False)
class AvailabilityPeriods:
    """All changes of availability, in the order of the log; before its first one an instance is down.

    Only changes are stored, so that memory grows with the number of outages and not with the number of events.
    """

    changes: list[AvailabilityChange] = field(default_factory=list)
    _latest: dict[str, tuple[bool, bool]] = field(default_factory=dict)

    def on_event(self, event: events.Event, fleet: FleetState) -> None:
        """Process an event that the fleet has processed already."""
        if type(event) is events.Configured:
            self._latest.update(dict.fromkeys(fleet.members, (False, False)))
        elif event.instance and (type(event) in AVAILABILITY_EVENTS or event.instance not in self._latest):
            member = fleet.member(event.instance)
            is_usable = member.is_available and not (member.is_draining or member.is_paused)
            now = member.is_up, is_usable
            if self._latest.get(event.instance, (False, False)) != now:
                self.changes.append(AvailabilityChange(event.seq, event.at_ms, event.instance, *now))
            self._latest[event.instance] = now

    def up_ms(self, instance: str, from_ms: int, to_ms: int) -> int:
        """Return how long an instance was up between two times."""
        total_ms, is_up, since_ms = 0, False, from_ms
        for change in self.changes:
            if change.instance == instance:
                at_ms = min(max(change.at_ms, from_ms), to_ms)
                total_ms += (at_ms - since_ms) * is_up
                is_up, since_ms = change.is_up, at_ms
        return total_ms + (to_ms - since_ms) * is_up
