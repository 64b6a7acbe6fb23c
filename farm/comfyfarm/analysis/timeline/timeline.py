"""The timeline of a run: a lane for each instance, followed through the log."""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field

from comfyfarm import events
from comfyfarm.analysis.instance_jobs import route_of
from comfyfarm.analysis.job_tracker import JobTracker
from comfyfarm.analysis.logical_jobs import Attempt, LogicalJob, with_another
from comfyfarm.analysis.timeline.lane import (
    AttemptSpan,
    Interval,
    Lane,
    Mark,
    MarkKind,
    Marks,
    OutageKind,
    PartKind,
    SpanPart,
)
from comfyfarm.analysis.timeline.markup import clipped
from comfyfarm.events.handler import EventHandler, on

_MOST_FIRINGS = 200     # marked, of one fault on one lane
_FEW_SPANS = 100
_MOST_LETTERS = 60      # of a job's name in a sentence
_BEGIN_OR_END: dict[type[events.Event], tuple[OutageKind, bool]] = {
    events.ServerReady: ("down", False),
    events.Frozen: ("frozen", True),
    events.Thawed: ("frozen", False),
    events.Paused: ("paused", True),
    events.Resumed: ("paused", False),
}


@dataclass(eq=False)
class Timeline(EventHandler):
    """Follows a log from its first event.  Its size grows with jobs and faults, not with events.

    :ivar tracker: shared; its owner must pass each event to it before passing the event to this.
    :ivar lanes: by instance, in the order of the configuration.
    :ivar marks: of the farm as a whole.
    """

    tracker: JobTracker
    lanes: dict[str, Lane] = field(default_factory=dict)
    marks: Marks = field(default_factory=Marks)
    _spans: dict[Attempt, AttemptSpan] = field(default_factory=dict)    # those that are open, and some that are not
    _prunes_at: int = _FEW_SPANS
    _running: dict[str, tuple[AttemptSpan, int]] = field(default_factory=dict)  # by instance: the span, running since
    _part_since_ms: dict[str, int] = field(default_factory=dict)    # by instance: the start of the current part
    _firings: dict[tuple[str, str], int] = field(default_factory=dict)      # by instance and fault
    _last_visible_ms: int = 0

    @property
    def from_ms(self) -> int:
        """The beginning of the trial; of the first one 0, unless the beginning of the log is missing."""
        return self.tracker.trial_ms or self.tracker.first_ms or 0

    @property
    def forgotten_says(self) -> str:
        """How many jobs are no longer in it; empty if none."""
        count = self.tracker.forgotten.count
        return f"not shown: {count} earlier {'job' if count == 1 else 'jobs'}, delivered at once" if count else ""

    @property
    def end_ms(self) -> int:
        """The time of the latest event; if nothing is going on any more, shortly after the last visible event."""
        now_ms = max(self.from_ms, self.tracker.at_ms)
        if not any(lane.spans for lane in self.lanes.values()) or self._is_under_way(now_ms):
            return now_ms
        last_ms = max(self._last_visible_ms, self.from_ms)
        return min(now_ms, last_ms + (last_ms - self.from_ms) // 50)

    def _is_under_way(self, now_ms: int) -> bool:
        ongoing = (since_ms for lane in self.lanes.values() for since_ms in lane.ongoing.values())
        return any(since_ms < now_ms for since_ms in ongoing) or any(attempt.is_open for attempt in self._spans)

    def lane(self, name: str) -> Lane:
        """Return an instance's lane; create it if the name is new."""
        return self.lanes.setdefault(name, Lane(name))

    def forget(self, jobs: Sequence[LogicalJob]) -> None:
        """Drop the spans of jobs, and the marks that name them."""
        names = {job.name for job in jobs}
        attempts = {attempt for job in jobs for attempt in job.attempts}
        sent_seq = max((attempt.seq for attempt in attempts), default=0)
        for name in {attempt.instance for attempt in attempts}:
            spans = self.lane(name).spans
            end = bisect_right(spans, sent_seq, key=lambda span: span.attempt.seq)
            spans[:end] = [span for span in spans[:end] if span.attempt not in attempts]
        for attempt in attempts:
            self._spans.pop(attempt, None)
        marked_seq = max(sent_seq, *(job.marked_seq for job in jobs))
        for marks in (self.marks, *(lane.marks for lane in self.lanes.values())):
            marks.drop(names, marked_seq)

    @on(events.Configured)
    def _on_configured(self, event: events.Configured) -> None:
        for settings in event.config.get("instance", []):
            self.lane(settings.get("name", "")).begin("down", max(event.at_ms, self.from_ms))

    # Jobs.

    @on(events.Submitted)
    def _on_submitted(self, event: events.Submitted) -> None:
        attempt = self.tracker.jobs[event.job].attempts[-1]
        span = self._spans[attempt] = AttemptSpan(attempt)
        if len(self._spans) > self._prunes_at:
            self._spans = {attempt: span for attempt, span in self._spans.items() if attempt.is_open}
            self._prunes_at = 2 * len(self._spans) + _FEW_SPANS
        lane = self.lane(event.instance)
        lane.end("down", event.at_ms)       # The log may lack the event that it came up.
        lane.spans.append(span)
        self._last_visible_ms = event.at_ms
        if attempt.number > 1:
            self._mark(event, "retry", f"attempt {attempt.number} of {_short(event.job)}", event.job)

    @on(events.PromptRefused)
    def _on_prompt_refused(self, event: events.PromptRefused) -> None:
        self._mark(event, "refused", f"refused {_short(event.job)}: {event.error}", event.job)

    @on("POST /prompt")
    def _on_exchanged(self, event: events.Exchanged) -> None:
        if not event.job or event.prompt_id is not None or route_of(event.path) != "/prompt":
            return
        # A submission that failed before validation has no other event.
        attempts = self.tracker.job(event.job).attempts
        if attempts and attempts[-1].seq == event.seq:
            answer = f"answered {event.status}" if event.status else "not answered"
            self._mark(event, "refused", f"{_short(event.job)} was {answer}", event.job)

    @on(events.Taken)
    def _on_taken(self, event: events.Taken) -> None:
        attempt = self.tracker.instances[event.instance].running
        if (span := self._spans.get(attempt) if attempt is not None else None) is not None:
            self._running[event.instance] = span, event.at_ms
        self._part_since_ms[event.instance] = self._last_visible_ms = event.at_ms

    @on(events.NodeStarted, events.Progressed)
    def _on_node_started(self, event: events.NodeStarted | events.Progressed) -> None:
        self._part_since_ms[event.instance] = self._last_visible_ms = event.at_ms

    @on(events.ModelLoaded, events.ModelUnloaded, events.Written)
    def _on_part_end(self, event: events.ModelLoaded | events.ModelUnloaded | events.Written) -> None:
        kind: PartKind = "saving" if isinstance(event, events.Written) else "loading"
        from_ms = self._part_since_ms.get(event.instance, event.at_ms)
        self._part_since_ms[event.instance] = self._last_visible_ms = event.at_ms
        if event.instance not in self._running or from_ms >= event.at_ms:
            return
        span = self._running[event.instance][0]
        last = span.parts[-1] if span.parts else None
        if last is not None and last.kind == kind and last.to_ms == from_ms:    # Adjacent parts of one kind are merged.
            from_ms, span.parts = last.from_ms, span.parts[:-1]
        span.parts = with_another(span.parts, SpanPart(kind, from_ms, event.at_ms))

    @on(events.Finished)
    def _on_finished(self, event: events.Finished) -> None:
        self._running.pop(event.instance, None)
        self._last_visible_ms = event.at_ms

    @on(events.Delivered)
    def _on_delivered(self, event: events.Delivered) -> None:
        # If the delivery names no instance, it is the one that succeeded last.
        succeeded = [] if event.instance else self.tracker.job(event.job).ended("success")
        instance = succeeded[-1].instance if succeeded else ""
        self._mark(event, "delivered", f"delivered {_short(event.job)}", event.job, instance)

    # Instances.

    @on(events.ServerStopped)
    def _on_server_stopped(self, event: events.ServerStopped) -> None:
        running = self._running.pop(event.instance, None)
        if running is not None and running[0].attempt.is_open:
            span, since_ms = running
            span.broken_runs = with_another(span.broken_runs, Interval(since_ms, event.at_ms))
        for kind in ("frozen", "paused", "refusing"):
            self.lane(event.instance).end(kind, event.at_ms)
        self._set_outage(event, "down", on=True)

    @on(*_BEGIN_OR_END)
    def _on_begin_or_end(self, event: events.Event) -> None:
        kind, begins = _BEGIN_OR_END[type(event)]
        self._set_outage(event, kind, on=begins)

    @on(events.Reset)
    def _on_reset(self, event: events.Reset) -> None:
        self._running.pop(event.instance, None)
        self._set_outage(event, "paused", on=False)

    @on(events.Refusing, events.Draining)
    def _on_refusing(self, event: events.Refusing | events.Draining) -> None:
        self._set_outage(event, "refusing" if isinstance(event, events.Refusing) else "draining", on=event.on)

    def _set_outage(self, event: events.Event, kind: OutageKind, *, on: bool) -> None:
        at_ms = self._last_visible_ms = max(event.at_ms, self.from_ms)    # It may have begun before the trial.
        lane = self.lane(event.instance)
        (lane.begin if on else lane.end)(kind, at_ms)

    # Faults.

    @on(events.FaultFired)
    def _on_fault_fired(self, event: events.FaultFired) -> None:
        # A fault may fire on every frame: more marks would hide the rest and fill the memory.
        key = event.instance, event.id
        self._firings[key] = self._firings.get(key, 0) + 1
        if self._firings[key] <= _MOST_FIRINGS:
            job = f" ({_short(event.job)})" if event.job else ""
            self._mark(event, "fault", f"{event.do} at {event.phase}{job}: fault {event.id}", event.job)

    @on(events.Healed)
    def _on_healed(self, event: events.Healed) -> None:
        self._mark(event, "heal", "healed")

    def _mark(self, event: events.Event, kind: MarkKind, says: str, job: str = "", instance: str = "") -> None:
        if event.at_ms < self.from_ms:
            return
        self._last_visible_ms = event.at_ms
        name = instance or event.instance
        marks = self.lane(name).marks if name else self.marks
        marks.add(Mark(kind, event.at_ms, says, job), event.seq)
        if (tracked := self.tracker.jobs.get(job)) is not None:
            tracked.marked_seq = event.seq


def _short(job: str) -> str:
    return clipped(job, _MOST_LETTERS)
