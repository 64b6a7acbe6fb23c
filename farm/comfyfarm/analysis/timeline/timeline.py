"""What each instance did when: the fold that every picture of a run is drawn from."""

from __future__ import annotations

from dataclasses import dataclass, field

from comfyfarm.analysis.instance_jobs import route_of
from comfyfarm.analysis.job_tracker import JobTracker
from comfyfarm.analysis.logical_jobs import Attempt
from comfyfarm.analysis.timeline.lane import AttemptSpan, Lane, Mark, MarkKind, OutageKind, PartKind, SpanPart, Stretch
from comfyfarm.analysis.timeline.markup import clipped
from comfyfarm.events import (
    Configured,
    Delivered,
    Draining,
    Event,
    Exchanged,
    FaultFired,
    Finished,
    Frozen,
    Healed,
    ModelLoaded,
    ModelUnloaded,
    NodeStarted,
    Paused,
    Progressed,
    PromptRefused,
    Refusing,
    Reset,
    Resumed,
    ServerReady,
    ServerStopped,
    Submitted,
    Taken,
    Thawed,
    Written,
)
from comfyfarm.events.handler import EventHandler, on

_MOST_STRIKES = 200     # of one fault on one lane, that are marked
_MOST_LETTERS = 60      # of a job's name in a sentence


@dataclass(eq=False)
class Timeline(EventHandler):
    """Follows a log from its first event; what it keeps grows with jobs and faults, not with events.

    :ivar attempts: heard before this; shared with whoever else needs it.
    :ivar lanes: by instance, in the order of the configuration.
    :ivar marks: of the farm as a whole.
    """

    attempts: JobTracker
    lanes: dict[str, Lane] = field(default_factory=dict)
    marks: list[Mark] = field(default_factory=list)
    _stays: dict[Attempt, AttemptSpan] = field(default_factory=dict)
    _running: dict[str, tuple[AttemptSpan, int]] = field(default_factory=dict)     # by instance: what runs, since when
    _since_ms: dict[str, int] = field(default_factory=dict)     # by instance: where the present stretch began
    _strikes: dict[tuple[str, str], int] = field(default_factory=dict)      # by instance and fault
    _first_ms: int | None = None
    _seen_ms: int = 0

    @property
    def from_ms(self) -> int:
        """The moment of the first event: 0, unless the beginning of the log is missing."""
        return self._first_ms or 0

    @property
    def end_ms(self) -> int:
        """The moment of the latest event; where no job is left and all is well, little after the last to be seen."""
        now_ms = max(self.from_ms, self.attempts.at_ms)
        if not self._stays or self._is_under_way(now_ms):
            return now_ms
        return min(now_ms, self._seen_ms + (self._seen_ms - self.from_ms) // 50)

    def _is_under_way(self, now_ms: int) -> bool:
        lasting = (since_ms for lane in self.lanes.values() for since_ms in lane.lasting.values())
        return any(since_ms < now_ms for since_ms in lasting) or any(each.is_open for each in self._stays)

    def lane(self, name: str) -> Lane:
        """An instance's, made where the log had not named it before."""
        if name not in self.lanes:
            self.lanes[name] = Lane(name)
        return self.lanes[name]

    def on_event(self, event: Event) -> None:
        """Take an event into account, behind ``attempts``; most cannot be seen."""
        if self._first_ms is None:
            self._first_ms = event.at_ms
        super().on_event(event)

    @on(Configured)
    def _on_configured(self, event: Configured) -> None:
        for each in event.config.get("instance", []):
            self.lane(each.get("name", "")).begin("down", event.at_ms)

    # Jobs.

    @on(Submitted)
    def _on_submitted(self, event: Submitted) -> None:
        attempt = self.attempts.jobs[event.job].attempts[-1]
        stay = self._stays[attempt] = AttemptSpan(attempt)
        lane = self.lane(event.instance)
        lane.end("down", event.at_ms)       # where the log does not say when it came up
        lane.stays.append(stay)
        self._seen_ms = event.at_ms
        if attempt.number > 1:
            self._mark(event, "retry", f"attempt {attempt.number} of {_short(event.job)}", event.job)

    @on(PromptRefused)
    def _on_prompt_refused(self, event: PromptRefused) -> None:
        self._mark(event, "refused", f"refused {_short(event.job)}: {event.error}", event.job)

    @on(Exchanged)
    def _on_exchanged(self, event: Exchanged) -> None:
        """What came to nothing before it was looked at has no other event."""
        if not event.job or event.prompt_id is not None or event.method != "POST" or route_of(event.path) != "/prompt":
            return
        attempts = self.attempts.job(event.job).attempts
        if attempts and attempts[-1].seq == event.seq:
            said = f"answered {event.status}" if event.status else "not answered"
            self._mark(event, "refused", f"{_short(event.job)} was {said}", event.job)

    @on(Taken)
    def _on_taken(self, event: Taken) -> None:
        attempt = self.attempts.running.get(event.instance)
        if (stay := self._stays.get(attempt) if attempt is not None else None) is not None:
            self._running[event.instance] = stay, event.at_ms
        self._since_ms[event.instance] = self._seen_ms = event.at_ms

    @on(NodeStarted, Progressed)
    def _on_node_started(self, event: NodeStarted | Progressed) -> None:
        self._since_ms[event.instance] = self._seen_ms = event.at_ms

    @on(ModelLoaded, ModelUnloaded)
    def _on_model_loaded(self, event: ModelLoaded | ModelUnloaded) -> None:
        self._part("loading", event)

    @on(Written)
    def _on_written(self, event: Written) -> None:
        self._part("saving", event)

    def _part(self, kind: PartKind, event: Event) -> None:
        """What ends now began where the stretch did; stretches of one kind that touch are one."""
        from_ms = self._since_ms.get(event.instance, event.at_ms)
        self._since_ms[event.instance] = self._seen_ms = event.at_ms
        if event.instance not in self._running or from_ms >= event.at_ms:
            return
        parts = self._running[event.instance][0].parts
        if parts and parts[-1].kind == kind and parts[-1].to_ms == from_ms:
            from_ms = parts.pop().from_ms
        parts.append(SpanPart(kind, from_ms, event.at_ms))

    @on(Finished)
    def _on_finished(self, event: Finished) -> None:
        self._running.pop(event.instance, None)
        self._seen_ms = event.at_ms

    @on(Delivered)
    def _on_delivered(self, event: Delivered) -> None:
        """Where nobody says which instance made it, the last to succeed did."""
        done = self.attempts.job(event.job).ended("success")
        where = event.instance or (done[-1].instance if done else "")
        self._mark(event, "delivered", f"delivered {_short(event.job)}", event.job, where)

    # Instances.

    @on(ServerReady)
    def _on_server_ready(self, event: ServerReady) -> None:
        self._turn(event, "down", on=False)

    @on(ServerStopped)
    def _on_server_stopped(self, event: ServerStopped) -> None:
        broken = self._running.pop(event.instance, None)
        if broken is not None and broken[0].attempt.is_open:
            broken[0].broken.append(Stretch(broken[1], event.at_ms))
        for kind in ("frozen", "paused", "refusing"):
            self.lane(event.instance).end(kind, event.at_ms)
        self._turn(event, "down", on=True)

    @on(Frozen, Thawed)
    def _on_frozen(self, event: Frozen | Thawed) -> None:
        self._turn(event, "frozen", on=isinstance(event, Frozen))

    @on(Paused, Resumed)
    def _on_paused(self, event: Paused | Resumed) -> None:
        self._turn(event, "paused", on=isinstance(event, Paused))

    @on(Reset)
    def _on_reset(self, event: Reset) -> None:
        self._running.pop(event.instance, None)
        self._turn(event, "paused", on=False)

    @on(Refusing)
    def _on_refusing(self, event: Refusing) -> None:
        self._turn(event, "refusing", on=event.on)

    @on(Draining)
    def _on_draining(self, event: Draining) -> None:
        self._turn(event, "draining", on=event.on)

    def _turn(self, event: Event, kind: OutageKind, *, on: bool) -> None:
        self._seen_ms = event.at_ms
        lane = self.lane(event.instance)
        (lane.begin if on else lane.end)(kind, event.at_ms)

    # Faults.

    @on(FaultFired)
    def _on_fault_fired(self, event: FaultFired) -> None:
        """Who delays every frame would hide everything else, and fill the memory."""
        key = event.instance, event.id
        self._strikes[key] = self._strikes.get(key, 0) + 1
        if self._strikes[key] > _MOST_STRIKES:
            return
        about = f" ({_short(event.job)})" if event.job else ""
        self._mark(event, "fault", f"{event.do} at {event.phase}{about}: fault {event.id}", event.job)

    @on(Healed)
    def _on_healed(self, event: Healed) -> None:
        self._mark(event, "heal", "healed")

    def _mark(self, event: Event, kind: MarkKind, says: str, job: str = "", instance: str = "") -> None:
        self._seen_ms = event.at_ms
        where = instance or event.instance
        marks = self.lane(where).marks if where else self.marks
        marks.append(Mark(kind, event.at_ms, says, job))


def _short(job: str) -> str:
    """A name, for a sentence."""
    return clipped(job, _MOST_LETTERS)
