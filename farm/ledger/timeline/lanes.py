"""What each instance did when: the fold that every picture of a run is drawn from."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import singledispatchmethod
from typing import Literal

from farm.ledger.attempts import Attempt, Attempts
from farm.sim.events import (
    Configured,
    Delivered,
    Event,
    FaultFired,
    Frozen,
    Healed,
    ModelLoaded,
    ModelUnloaded,
    NodeStarted,
    Paused,
    Progressed,
    PromptRefused,
    Reset,
    Resumed,
    ServerReady,
    ServerStopped,
    Submitted,
    Taken,
    Thawed,
    Written,
)

__all__ = ["Lane", "Mark", "MarkKind", "Outage", "OutageKind", "Part", "PartKind", "Stay", "Timeline"]

PartKind = Literal["loading", "saving"]
"""What a running job does where it does not simply run."""
OutageKind = Literal["down", "frozen", "paused"]
MarkKind = Literal["fault", "retry", "refused", "delivered", "heal"]


@dataclass(frozen=True, slots=True)
class Part:
    """A stretch of a job's run."""

    kind: PartKind
    from_ms: int
    to_ms: int


@dataclass(eq=False, slots=True)
class Stay:
    """One attempt's time on its instance.

    :ivar parts: the stretches of its run that were spent on models and on files; the rest it simply ran.
    """

    attempt: Attempt
    parts: list[Part] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Outage:
    """A stretch in which an instance did not work.

    :ivar to_ms: ``None`` while it lasts.
    """

    kind: OutageKind
    from_ms: int
    to_ms: int | None


@dataclass(frozen=True, slots=True)
class Mark:
    """A moment worth a sign.

    :ivar job: the logical job that it is about, or empty.
    """

    kind: MarkKind
    at_ms: int
    says: str
    job: str = ""


@dataclass(eq=False)
class Lane:
    """One instance."""

    name: str
    stays: list[Stay] = field(default_factory=list)
    outages: list[Outage] = field(default_factory=list)
    marks: list[Mark] = field(default_factory=list)
    _begun: dict[OutageKind, int] = field(default_factory=dict)

    def begin(self, kind: OutageKind, at_ms: int) -> None:
        """An outage begins, unless it has already."""
        self._begun.setdefault(kind, at_ms)

    def end(self, kind: OutageKind, at_ms: int) -> None:
        """An outage is over; one of no length never was."""
        begun_ms = self._begun.pop(kind, None)
        if begun_ms is not None and begun_ms < at_ms:
            self.outages.append(Outage(kind, begun_ms, at_ms))

    def all_outages(self) -> list[Outage]:
        """Those that are over, and behind them those that last."""
        return [*self.outages, *(Outage(kind, from_ms, None) for kind, from_ms in self._begun.items())]


@dataclass(eq=False)
class Timeline:
    """Follows a log from its first event; what it keeps grows with jobs and faults, not with events.

    :ivar attempts: heard before this; shared with whoever else needs it.
    :ivar lanes: by instance, in the order of the configuration.
    :ivar marks: of the farm as a whole.
    """

    attempts: Attempts
    lanes: dict[str, Lane] = field(default_factory=dict)
    marks: list[Mark] = field(default_factory=list)
    _stays: dict[Attempt, Stay] = field(default_factory=dict)
    _since_ms: dict[str, int] = field(default_factory=dict)     # by instance: where the present stretch began

    @property
    def end_ms(self) -> int:
        """The moment of the latest event."""
        return self.attempts.at_ms

    def lane(self, name: str) -> Lane:
        """An instance's, made where the log had not named it before."""
        if name not in self.lanes:
            self.lanes[name] = Lane(name)
        return self.lanes[name]

    @singledispatchmethod
    def hear(self, event: Event) -> None:
        """Take an event into account, behind ``attempts``; most cannot be seen."""

    @hear.register
    def _(self, event: Configured) -> None:
        for each in event.config.get("instance", []):
            self.lane(each["name"]).begin("down", event.at_ms)

    # Jobs.

    @hear.register
    def _(self, event: Submitted) -> None:
        attempt = self._latest(event.job)
        stay = self._stays[attempt] = Stay(attempt)
        lane = self.lane(event.instance)
        lane.stays.append(stay)
        if attempt.number > 1:
            lane.marks.append(Mark("retry", event.at_ms, f"attempt {attempt.number} of {event.job}", event.job))

    def _latest(self, job: str) -> Attempt:
        return self.attempts.jobs[job].attempts[-1]

    @hear.register
    def _(self, event: PromptRefused) -> None:
        says = f"refused {event.job}: {event.error}"
        self.lane(event.instance).marks.append(Mark("refused", event.at_ms, says, event.job))

    @hear.register(Taken | NodeStarted | Progressed)
    def _(self, event: Taken | NodeStarted | Progressed) -> None:
        self._since_ms[event.instance] = event.at_ms

    @hear.register(ModelLoaded | ModelUnloaded)
    def _(self, event: ModelLoaded | ModelUnloaded) -> None:
        self._part("loading", event)

    @hear.register
    def _(self, event: Written) -> None:
        self._part("saving", event)

    def _part(self, kind: PartKind, event: Event) -> None:
        """What ends now began where the stretch did; stretches of one kind that touch are one."""
        attempt = self.attempts.running.get(event.instance)
        from_ms = self._since_ms.get(event.instance, event.at_ms)
        self._since_ms[event.instance] = event.at_ms
        if attempt not in self._stays or from_ms == event.at_ms:
            return
        parts = self._stays[attempt].parts
        if parts and parts[-1].kind == kind and parts[-1].to_ms == from_ms:
            from_ms = parts.pop().from_ms
        parts.append(Part(kind, from_ms, event.at_ms))

    @hear.register
    def _(self, event: Delivered) -> None:
        lane = self.lane(event.instance).marks if event.instance else self.marks
        lane.append(Mark("delivered", event.at_ms, f"delivered {event.job}", event.job))

    # Instances.

    @hear.register(ServerStopped | ServerReady)
    def _(self, event: ServerStopped | ServerReady) -> None:
        lane = self.lane(event.instance)
        if isinstance(event, ServerReady):
            lane.end("down", event.at_ms)
            return
        for kind in ("frozen", "paused"):
            lane.end(kind, event.at_ms)
        lane.begin("down", event.at_ms)

    @hear.register(Frozen | Thawed)
    def _(self, event: Frozen | Thawed) -> None:
        lane = self.lane(event.instance)
        (lane.begin if isinstance(event, Frozen) else lane.end)("frozen", event.at_ms)

    @hear.register(Paused | Resumed | Reset)
    def _(self, event: Paused | Resumed | Reset) -> None:
        lane = self.lane(event.instance)
        (lane.begin if isinstance(event, Paused) else lane.end)("paused", event.at_ms)

    # Faults.

    @hear.register
    def _(self, event: FaultFired) -> None:
        about = f" ({event.job})" if event.job else ""
        says = f"{event.do} at {event.phase}{about}: fault {event.id}"
        self.lane(event.instance).marks.append(Mark("fault", event.at_ms, says, event.job))

    @hear.register
    def _(self, event: Healed) -> None:
        self.marks.append(Mark("heal", event.at_ms, "healed"))
