"""The whole analysis of one trial of a log, in one pass: verdict, placement, timeline and faults."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import InitVar, dataclass, field
from typing import Literal

from comfyfarm.analysis.findings import Defects, Thresholds
from comfyfarm.analysis.job_tracker import JobTracker
from comfyfarm.analysis.logical_jobs import LogicalJob
from comfyfarm.analysis.placement.availability import AVAILABILITY_EVENTS
from comfyfarm.analysis.placement.placement import Placement, PlacementAnalyzer, PlacementThresholds
from comfyfarm.analysis.timeline.faults import FaultRow, FaultRows
from comfyfarm.analysis.timeline.timeline import Timeline
from comfyfarm.analysis.trial_scope import SCOPED, TrialScope
from comfyfarm.analysis.verdict import Verdict, VerdictBuilder
from comfyfarm.events import Configured, Event, Exchanged, LogEnded, Submitted, TrialBegan
from comfyfarm.events.handler import Methods, by_type, merged, methods_of

_MOST_PENDING = 250
_KEPT_JOBS = 5_000
MOST_FORMER = 10_000
"""So many names of jobs of earlier trials are known in a later one."""

Part = Literal["placement", "timeline"]
PARTS: tuple[Part, ...] = ("placement", "timeline")


@dataclass(eq=False)
class LogAnalysis:
    """Follows a log from its first event, or from the beginning of a trial, and returns its results at any time.

    :ivar began: the beginning of the trial; ``None`` for the first event of the log.
    :param before: the events that determine the state of the farm at that time.
    :ivar former: the names of logical jobs of earlier trials; shared, and may grow when the trial has ended.
    :ivar defects: those of the log so far.
    :ivar end_seq: of the last event of the trial; ``None`` if it has not ended.
    :ivar parts: what may be requested apart from the verdict; each needs time and memory.
    :ivar kept_jobs: so many of the latest logical jobs are kept in any case; of the older ones only those of which
        something may still be found (:mod:`comfyfarm.analysis.forgotten`).
    """

    began: TrialBegan | None = None
    before: InitVar[Iterable[Event]] = ()
    former: Collection[str] = ()
    defects: Defects = field(default_factory=Defects)
    end_seq: int | None = None
    parts: Collection[Part] = PARTS
    kept_jobs: int = _KEPT_JOBS
    # Events are processed when a result is requested, or 250 at a time: a short run without requests costs nothing.
    _pending: list[Event] = field(default_factory=list)
    _latest: deque[LogicalJob] = field(default_factory=deque)       # in the order of their first attempts
    _unsettled: deque[LogicalJob] = field(default_factory=deque)    # earlier ones that are kept
    _forgotten_names: deque[str] = field(default_factory=lambda: deque(maxlen=MOST_FORMER))
    _faults: FaultRows = field(default_factory=FaultRows)
    _scope: TrialScope | None = None
    _epochs: dict[str, int] = field(default_factory=dict)

    def __post_init__(self, before: Iterable[Event]) -> None:
        tracker = JobTracker()
        self._verdict = VerdictBuilder(tracker=tracker, _defects=self.defects)
        self._placement = PlacementAnalyzer(attempts=tracker, fleet=self._verdict.fleet)
        self._has_placement = "placement" in self.parts
        self._timeline = Timeline(tracker)
        self._methods = self._methods_by_type()
        if self.began is not None:
            tracker.trial_ms, tracker.is_scoped = self.began.at_ms, self.began.client != ""
            self._scope = scope = TrialScope(
                self.began.at_ms, self.began.client, self.former, tracker.others, tracker.forgotten.names
            )
            for event in before:
                self._process([scope.other(event) if isinstance(event, Submitted) else event])

    def _methods_by_type(self) -> Methods:
        # One look-up for each event: most are of kinds that nothing handles.
        tables = [self._verdict.methods]
        if self._has_placement:
            tables.append(self._placement.methods)
        if "timeline" in self.parts:
            tables.append(by_type(self._timeline, self._faults))
        return merged(*tables, {Submitted: [self._on_submitted]})

    def kinds(self) -> set[type[Event]]:
        """Return the types of events that are handled; of others only the number, time, instance and epoch count."""
        return {kind for kind in self._methods if isinstance(kind, type)}

    def on_event(self, event: Event) -> None:
        self._pending.append(event)
        if len(self._pending) >= _MOST_PENDING:
            self._process_pending()

    def note_defect(self, text: str, seq: int) -> None:
        """Note a defect of the log and its place (0 if not known)."""
        self._process_pending()
        self._verdict.note_defect(text, seq)

    @property
    def first_seq(self) -> int:
        """The ``seq`` of the first event of the trial."""
        return 1 if self.began is None else self.began.seq

    def job_names(self) -> list[str]:
        """Return the names of the logical jobs that belong to the trial; of the forgotten ones only the latest."""
        self._process_pending()
        tracker = self._verdict.tracker
        return [*self._forgotten_names, *(name for name in tracker.jobs if name not in tracker.others)]

    def verdict(self, bounds: Thresholds | None = None) -> Verdict:
        """Return the verdict on the log so far; ``None``: with the default bounds."""
        self._process_pending()
        return self._verdict.verdict(bounds)

    def placement(self, terms: PlacementThresholds | None = None) -> Placement:
        """Return the placement measures of the log so far; ``None``: with the default terms."""
        assert "placement" in self.parts
        self._process_pending()
        return self._placement.placement(terms)

    def timeline(self) -> Timeline:
        """Return the timeline of the log so far; it is updated by later events."""
        assert "timeline" in self.parts
        self._process_pending()
        return self._timeline

    def faults(self) -> list[FaultRow]:
        """Return the faults of the log so far, in the order in which they were armed; part of ``timeline``."""
        assert "timeline" in self.parts
        self._process_pending()
        return list(self._faults.rows.values())

    @property
    def seed(self) -> int | None:
        """The farm's seed; ``None`` if the log lacks it."""
        self._process_pending()
        return self._verdict.fleet.seed

    def _process_pending(self) -> None:
        pending, self._pending = self._pending, []
        self._process(pending if self._scope is None else self._in_scope(pending, self._scope))

    def _in_scope(self, events: Iterable[Event], scope: TrialScope) -> Iterator[Event]:
        for event in events:
            if type(event) in SCOPED:
                yield from scope.events(event)
            else:
                yield event

    def _process(self, events: Iterable[Event]) -> None:
        # The loop has few calls, because most events need no more than this.
        epochs, tracker, methods = self._epochs, self._verdict.tracker, self._methods
        for event in events:
            kind = type(event)
            if kind is LogEnded:
                continue
            try:
                tracker.seq = event.seq
                if event.at_ms != tracker.at_ms or tracker.first_ms is None:
                    tracker.note_time(event)
                if epochs.get(event.instance) != event.epoch:
                    self._note_process(event)
                for method in methods_of(event, methods) if kind is Exchanged else methods.get(kind, ()):
                    method(event)
                if kind is Configured:      # it describes all instances anew
                    epochs.clear()
            except Exception as error:  # noqa: BLE001 (a saved log may hold anything, and a live farm must go on)
                text = f"seq {event.seq} could not be taken into account ({type(error).__name__}: {error})"
                self._verdict.note_defect(text, event.seq)

    def _on_submitted(self, event: Event) -> None:
        """Forget the oldest jobs of which nothing more can be found, if there are many more than are kept.

        When depends on the number of jobs only, so that a saved log gives what the live farm gave.  Of the older ones
        that could not be forgotten some are looked at again each time, so that no look is long.
        """
        assert isinstance(event, Submitted)
        job = self._verdict.tracker.jobs[event.job]
        if len(job.attempts) == 1:
            self._latest.append(job)
        if len(self._latest) <= self.kept_jobs:
            return
        count = max(1, self.kept_jobs // 16)
        if len(self._latest) >= self.kept_jobs + count:
            again = min(count, len(self._unsettled))
            jobs = [self._latest.popleft() for _ in range(count)] + [self._unsettled.popleft() for _ in range(again)]
            settled = self._verdict.settled(jobs)
            forgotten = set(settled)
            self._unsettled += [job for job in jobs if job not in forgotten]
            if settled:
                self._forget(settled)

    def _forget(self, jobs: Sequence[LogicalJob]) -> None:
        self._forgotten_names.extend(job.name for job in jobs if not job.is_load)
        self._verdict.forget(jobs)
        self._placement.forget()
        self._timeline.forget(jobs)
        if self._scope is not None:
            self._scope.forget(jobs)

    def _note_process(self, event: Event) -> None:
        """Process the first event of an instance, or of a process of it."""
        self._verdict.fleet.note_process(event)
        if self._has_placement and type(event) not in AVAILABILITY_EVENTS:
            self._placement.note_availability(event)
        self._epochs[event.instance] = event.epoch
