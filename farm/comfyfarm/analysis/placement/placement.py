"""How well the work was placed, by all that has happened until a moment."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Annotated

import msgspec

from comfyfarm.analysis.instances import FleetState
from comfyfarm.analysis.job_tracker import JobTracker
from comfyfarm.analysis.placement.availability import AvailabilityPeriods
from comfyfarm.analysis.placement.choices import Choice, choices_of
from comfyfarm.analysis.placement.dispatch_events import window_of
from comfyfarm.analysis.placement.dispatches import Dispatches
from comfyfarm.analysis.placement.measures.affinity import Affinity, affinity
from comfyfarm.analysis.placement.measures.balance import (
    Fairness,
    IdleWhileWaiting,
    Utilisation,
    fairness,
    idle_while_waiting,
    utilisation,
)
from comfyfarm.analysis.placement.measures.depth import (
    DepthError,
    Herding,
    WorkError,
    depth_error,
    herding,
    with_alternatives,
    work_error,
)
from comfyfarm.analysis.placement.measures.misplaced import Misplacements, misplacements
from comfyfarm.analysis.placement.measures.recovery import Drained, Reaction, drained, failover, rejoin
from comfyfarm.analysis.placement.measures.waiting import (
    Makespan,
    Spread,
    Starvation,
    job_spans,
    makespan,
    spread,
    starvation,
)
from comfyfarm.analysis.placement.records import DispatchRecord, record_of
from comfyfarm.analysis.placement.replay.regret import Regret, regret_of
from comfyfarm.analysis.placement.replay.workload import WorkloadRecorder
from comfyfarm.events import Event
from comfyfarm.units import Duration


class PlacementThresholds(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Where a measure begins to count.

    :ivar fresh: what a client was shown not longer ago than this obliges it, even if it is no longer true.
    :ivar overtakes: how often a job may be overtaken by later ones.
    """

    fresh: Duration = Duration(1000)
    overtakes: Annotated[int, msgspec.Meta(ge=0)] = 10


class Placement(msgspec.Struct, frozen=True, kw_only=True):
    """How well the work was placed (docs/placement.md).

    Each measure says of how many things it was taken (``n``), and whether those are too few to show much
    (``is_small``).  ``None`` stands where a measure has no meaning.

    :ivar at_ms: of the latest event, in simulated milliseconds.
    :ivar seq: of the latest event.
    :ivar jobs: logical jobs that were sent.
    :ivar dispatches: how often, taken on or refused.
    :ivar waits: from a logical job's first attempt until the run began that succeeded.
    :ivar totals: until that run's end.
    :ivar failover: from a stop that lost jobs to the first of them that was sent elsewhere.
    :ivar rejoin: from an instance's return to its first new job.
    :ivar regret: beside the reference policies, in a replay; ``None`` where there is nothing to compare.
    """

    at_ms: int
    seq: int
    jobs: int
    dispatches: int
    fairness: Fairness
    utilisation: Utilisation
    idle_while_waiting: IdleWhileWaiting
    starvation: Starvation
    waits: Spread
    totals: Spread
    makespan: Makespan
    depth_error: DepthError
    work_error: WorkError
    herding: Herding
    misplacements: Misplacements
    affinity: Affinity
    failover: Reaction
    rejoin: Reaction
    drained: Drained
    regret: Regret | None


@dataclass(eq=False)
class PlacementAnalyzer:
    """Follows a log from its first event, and can measure at any moment.

    :ivar attempts: may be somebody else's, who hears each event first; then :meth:`follow` is called behind him.
    """

    terms: PlacementThresholds = field(default_factory=PlacementThresholds)
    attempts: JobTracker = field(default_factory=JobTracker)
    fleet: FleetState = field(default_factory=FleetState)
    spells: AvailabilityPeriods = field(default_factory=AvailabilityPeriods)
    _seq: int = 0

    def __post_init__(self) -> None:
        """Have all that goes by what these two know."""
        self.dispatches = Dispatches(self.attempts, self.fleet)
        self.trace = WorkloadRecorder(self.attempts, self.spells)

    def on_event(self, event: Event) -> None:
        """Take the next event into account."""
        self.attempts.on_event(event)
        self.fleet.on_event(event)
        self.follow(event)

    def follow(self, event: Event) -> None:
        """Take an event into account that the attempts and the fleet have heard already."""
        self._seq = max(self._seq, event.seq)
        self.spells.on_event(event, self.fleet)
        self.dispatches.on_event(event)
        self.trace.on_event(event)

    def records(self) -> Iterator[DispatchRecord]:
        """Every dispatch, in order, with all that is known of it by now."""
        return map(record_of, self._choices())

    def _choices(self) -> list[Choice]:
        """What the system under test chose, in the light of all that was there."""
        choices = choices_of(self.dispatches.all, self.attempts.at_ms)
        return [each for each in choices if not each.dispatch.attempt.is_load]

    def placement(self, terms: PlacementThresholds | None = None) -> Placement:
        """Measure by all that was heard.

        :param terms: others than its own.
        """
        terms = terms or self.terms
        at_ms, spells = self.attempts.at_ms, self.spells.spells
        sent, choices = self.dispatches.tested, self._choices()
        window, stays = window_of(sent, at_ms), job_spans(sent)
        free = with_alternatives(choices)
        used = utilisation(self.dispatches.all, self.fleet.members, self.spells, window, at_ms)
        jobs = [job.attempts for job in self.attempts.tested if job.attempts]
        done = [each for each in stays if each.ended_ms is not None and each.began_ms is not None]
        return Placement(
            at_ms=at_ms,
            seq=self._seq,
            jobs=len(jobs),
            dispatches=len(sent),
            fairness=fairness(used),
            utilisation=used,
            idle_while_waiting=idle_while_waiting(choices, spells, window),
            starvation=starvation(stays, terms.overtakes, at_ms),
            waits=spread([each.waited_ms(at_ms) for each in done]),
            totals=spread([(each.ended_ms or 0) - each.sent_ms for each in done]),
            makespan=makespan(sent, window),
            depth_error=depth_error(free),
            work_error=work_error(free),
            herding=herding(free),
            misplacements=misplacements(free, int(terms.fresh)),
            affinity=affinity(choices, self.dispatches.reloads),
            failover=failover(jobs),
            rejoin=rejoin(choices, spells),
            drained=drained(choices),
            regret=regret_of(self.trace.traffic()),
        )
