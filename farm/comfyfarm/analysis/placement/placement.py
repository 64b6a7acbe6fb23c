"""All measures of placement, computed from the events so far."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Annotated

import msgspec
from msgspec.structs import replace

from comfyfarm.analysis.instances import FleetState
from comfyfarm.analysis.job_tracker import JobTracker
from comfyfarm.analysis.placement.arrival import arrival_of, unsent_of
from comfyfarm.analysis.placement.availability import AVAILABILITY_EVENTS, AvailabilityPeriods
from comfyfarm.analysis.placement.choices import Choice, choices_of
from comfyfarm.analysis.placement.dispatch_events import window_of
from comfyfarm.analysis.placement.dispatches import Dispatches
from comfyfarm.analysis.placement.measures import balance, depth, recovery, waiting
from comfyfarm.analysis.placement.measures.affinity import Affinity, affinity
from comfyfarm.analysis.placement.measures.arrivals import Arrivals, arrivals
from comfyfarm.analysis.placement.replay.regret import Regret, regret_of
from comfyfarm.analysis.placement.replay.workload import WorkloadRecorder
from comfyfarm.events import Event, Finished, Work
from comfyfarm.events.encoding import as_json
from comfyfarm.events.handler import Methods, by_type, methods_of
from comfyfarm.units import Duration


class PlacementThresholds(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The limits above which misplacements and overtaking count.

    :ivar fresh: a client is expected to use what it was shown within this time, even if it is no longer true.
    :ivar overtakes: how often a job may be overtaken by later ones.
    """

    fresh: Duration = Duration(1000)
    overtakes: Annotated[int, msgspec.Meta(ge=0)] = 10


class Placement(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """All measures of placement (docs/placement.md).

    Each measure has its sample size (``n``) and whether that is too small to show much (``is_small``). A value is
    ``None`` if it has no meaning.

    :ivar at_ms: of the latest event, in simulated milliseconds.
    :ivar seq: of the latest event.
    :ivar jobs: logical jobs that were sent.
    :ivar forgotten: earlier ones, which are not among them and in no measure: only the latest jobs are kept.
    :ivar dispatches: accepted and refused.
    :ivar waits: from a logical job's arrival to the beginning of its first successful run.
    :ivar totals: from a logical job's arrival to the end of that run.
    :ivar failover: from a stop that lost jobs to the first of them that was sent to another instance.
    :ivar rejoin: from an instance's return to the first job that it accepted.
    :ivar regret: the comparison with reference policies, in a replay; ``None`` if there is nothing to compare.
    """

    at_ms: int
    seq: int
    jobs: int
    forgotten: int = 0
    dispatches: int
    arrivals: Arrivals
    fairness: balance.Fairness
    utilisation: balance.Utilisation
    idle_while_waiting: balance.IdleWhileWaiting
    starvation: waiting.Starvation
    waits: waiting.Spread
    totals: waiting.Spread
    makespan: waiting.Makespan
    depth_error: depth.DepthError
    work_error: depth.WorkError
    herding: depth.Herding
    misplacements: depth.Misplacements
    affinity: Affinity
    failover: recovery.Reaction
    rejoin: recovery.Reaction
    drained: recovery.Drained
    regret: Regret | None


@dataclass(eq=False)
class PlacementAnalyzer:
    """Follows a log from its first event; it can measure after any event.

    :ivar attempts: may be shared, as may the fleet. Their owner must then process each event before calling
        :meth:`follow`.
    :ivar methods: by kind of events, those that process them, in this order.
    """

    attempts: JobTracker = field(default_factory=JobTracker)
    fleet: FleetState = field(default_factory=FleetState)
    _availability: AvailabilityPeriods = field(default_factory=AvailabilityPeriods)
    _works: dict[bytes, Work] = field(default_factory=dict)     # by their JSON
    _latest_work: Work | None = None

    def __post_init__(self) -> None:
        self._dispatches = Dispatches(self.attempts, self.fleet)
        self._recorder = WorkloadRecorder(self.attempts, self._availability)
        self.methods = self._methods_by_type()

    def _methods_by_type(self) -> Methods:
        methods = by_type(self._dispatches, self._recorder)
        methods[Finished] = [partial(self._on_finished, methods[Finished])]
        for kind in AVAILABILITY_EVENTS:
            methods.setdefault(kind, []).insert(0, self.note_availability)
        return methods

    def on_event(self, event: Event) -> None:
        self.attempts.on_event(event)
        self.fleet.on_event(event)
        self.follow(event)

    def follow(self, event: Event) -> None:
        """Process an event that ``attempts`` and ``fleet`` have processed already."""
        if type(event) not in AVAILABILITY_EVENTS:
            self.note_availability(event)
        for method in methods_of(event, self.methods):
            method(event)

    def note_availability(self, event: Event) -> None:
        """Process one of :data:`AVAILABILITY_EVENTS`, or the first event of an instance, before the methods."""
        self._availability.on_event(event, self.fleet)

    def _on_finished(self, methods: Sequence[Callable[[Event], None]], event: Event) -> None:
        assert isinstance(event, Finished)
        event = replace(event, work=self._shared(event.work))
        for method in methods:
            method(event)

    def _shared(self, work: Work) -> Work:
        """Return one object for equal works, of which there are few."""
        if self._latest_work is None or work != self._latest_work:
            self._latest_work = self._works.setdefault(as_json(work), work)
        return self._latest_work

    def forget(self) -> None:
        """Drop the dispatches up to the latest one whose job is no longer kept."""
        self._dispatches.forget(self.attempts.forgotten.seq)

    def choices(self) -> list[Choice]:
        """Return every dispatch of the system under test with its options, in order."""
        # A scenario's own load counts as work in the queues, but its placement is not judged.
        choices = choices_of(self._dispatches, self.attempts.at_ms)
        return [choice for choice in choices if not choice.dispatch.attempt.is_load]

    def placement(self, thresholds: PlacementThresholds | None = None) -> Placement:
        """Compute all measures from the events so far.

        :param thresholds: ``None`` for the defaults.
        """
        thresholds = thresholds or PlacementThresholds()
        at_ms, changes = self.attempts.at_ms, self._availability.changes
        choices = self.choices()
        sent = [choice.dispatch for choice in choices]
        tracked = self.attempts.jobs
        unsent = unsent_of(tracked.values())
        arrived = {name: arrival_of(tracked[name]) for name in (*(dispatch.attempt.job for dispatch in sent), *unsent)}
        window = window_of(sent, arrived, at_ms)
        spans = waiting.job_spans(sent, arrived) + [waiting.JobSpan(name, arrived[name]) for name in unsent]
        choosable = depth.with_alternatives(choices)
        settings = {name: member.settings for name, member in self.fleet.members.items()}
        uses = balance.instance_uses(self._dispatches.all, settings, self._availability, window, at_ms)
        sent_jobs = [job.attempts for job in self.attempts.tested if job.attempts]
        jobs = [attempts for attempts in sent_jobs if attempts[-1].seq > self.attempts.forgotten.seq]
        done = [span for span in spans if span.ended_ms is not None and span.began_ms is not None]
        return Placement(
            at_ms=at_ms,
            seq=self.attempts.seq,
            jobs=len(jobs),
            forgotten=self.attempts.forgotten.count + len(sent_jobs) - len(jobs),
            dispatches=len(sent),
            arrivals=arrivals(sent, arrived, unsent, at_ms),
            fairness=balance.fairness(uses),
            utilisation=balance.utilisation(uses),
            idle_while_waiting=balance.idle_while_waiting(choices, changes, arrived, window),
            starvation=waiting.starvation(spans, thresholds.overtakes, at_ms),
            waits=waiting.spread([span.waited_ms(at_ms) for span in done]),
            totals=waiting.spread([(span.ended_ms or 0) - span.arrival.at_ms for span in done]),
            makespan=waiting.makespan(sent, window),
            depth_error=depth.depth_error(choosable),
            work_error=depth.work_error(choosable),
            herding=depth.herding(choosable),
            misplacements=depth.misplacements(choosable, int(thresholds.fresh)),
            affinity=affinity(choices, self._dispatches.reloads),
            failover=recovery.failover(jobs),
            rejoin=recovery.rejoin(choices, changes),
            drained=recovery.drained(choices),
            regret=regret_of(self._recorder.workload()),
        )
