"""The workload of a log: the jobs that arrived, their placement, and the changes of the instances."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import msgspec

from comfyfarm.analysis.job_tracker import JobTracker
from comfyfarm.analysis.logical_jobs import Attempt, LogicalJob
from comfyfarm.analysis.placement.arrival import arrival_of
from comfyfarm.analysis.placement.availability import AvailabilityChange, AvailabilityPeriods
from comfyfarm.events import Configured, Finished, ModelLoaded, SettingsChanged, Work
from comfyfarm.events.handler import EventHandler, on
from comfyfarm.sim.memory import ModelFile

Settings = dict[str, Any]


class Arrival(msgspec.Struct, frozen=True, gc=False):
    """The arrival of a logical job.

    :ivar at_ms: of its user's order if that was reported, else of its first attempt.
    :ivar work: of its decisive run.
    :ivar ran_on: the instance of that run.
    :ivar refused_by: the instances that must not get it in the replay.
    """

    job: str
    at_ms: int
    seq: int
    work: Work
    ran_on: str
    refused_by: frozenset[str] = frozenset()


class Assignment(msgspec.Struct, frozen=True, gc=False):
    """The placement of a job on an instance.

    :ivar job: its index in the arrivals.
    """

    at_ms: int
    seq: int
    job: int
    instance: str


@dataclass(frozen=True, slots=True)
class SettingsChange:
    """A change of an instance's settings.

    :ivar settings: the new values, by key.
    """

    at_ms: int
    seq: int
    instance: str
    settings: Settings


@dataclass(frozen=True)
class Workload:
    """The input of a replay.

    :ivar settings: the initial settings by instance, in configuration order.
    :ivar warm: by instance, the models that are in memory at its start.
    :ivar arrivals: every job that ran to an end, in the order of arrival.
    :ivar assignments: how the tested system placed them, in the order in which it did.
    :ivar changes: of the instances, in their order.
    :ivar left_out: logical jobs that were accepted but never ran to an end, so that their length is unknown.
    """

    settings: dict[str, Settings]
    warm: dict[str, tuple[ModelFile, ...]]
    arrivals: tuple[Arrival, ...]
    assignments: tuple[Assignment, ...]
    changes: tuple[AvailabilityChange | SettingsChange, ...]
    left_out: int = 0


@dataclass(eq=False)
class WorkloadRecorder(EventHandler):
    """Records the workload of a log. The tracker and the availability must process each event before this does."""

    tracker: JobTracker
    availability: AvailabilityPeriods
    _settings: dict[str, Settings] = field(default_factory=dict)
    _warm: dict[str, dict[ModelFile, None]] = field(default_factory=dict)
    _changes: list[SettingsChange] = field(default_factory=list)

    @on(Configured)
    def _on_configured(self, event: Configured) -> None:
        for settings in event.config.get("instance", ()):
            self._settings.setdefault(settings["name"], dict(settings))

    @on(SettingsChanged)
    def _on_settings_changed(self, event: SettingsChanged) -> None:
        self._changes.append(SettingsChange(event.at_ms, event.seq, event.instance, event.settings))

    @on(ModelLoaded)
    def _on_model_loaded(self, event: ModelLoaded) -> None:
        if event.prompt_id is None:
            file = ModelFile(event.folder, event.name, event.size_bytes)
            self._warm.setdefault(event.instance, {})[file] = None

    @on(Finished)
    def _on_finished(self, event: Finished) -> None:
        attempt = self.tracker.instances[event.instance].last
        if attempt is not None and attempt.end_seq == event.seq:
            attempt.work = event.work

    def workload(self) -> Workload:
        """Return the workload of the events so far."""
        since_seq = self.tracker.forgotten.seq
        jobs = [job for job in self.tracker.jobs.values() if not job.attempts or job.attempts[-1].seq > since_seq]
        ran = [(job, last) for job in jobs if (last := self._decisive(job)) is not None]
        ran.sort(key=lambda pair: arrival_of(pair[0]))
        assignments = sorted(self._assignments(ran), key=lambda assignment: (assignment.at_ms, assignment.seq))
        changes: list[AvailabilityChange | SettingsChange] = [
            *self._up_from_start(assignments),
            *self.availability.changes,
            *self._changes,
        ]
        accepted = sum(any(attempt.is_accepted for attempt in job.attempts) for job in jobs)
        return Workload(
            settings=dict(self._settings),
            warm={name: tuple(files) for name, files in self._warm.items()},
            arrivals=tuple(self._arrival(job, last) for job, last in ran),
            assignments=tuple(assignments),
            changes=tuple(sorted(changes, key=lambda change: (change.at_ms, change.seq))),
            left_out=accepted - len(ran),
        )

    def _decisive(self, job: LogicalJob) -> Attempt | None:
        """Return the first attempt that succeeded, else the last that ran to an end; ``None`` if none did."""
        ran = [
            attempt for attempt in job.attempts if attempt.work is not None and attempt.instance in self._settings
        ]
        return next((attempt for attempt in ran if attempt.end == "success"), ran[-1] if ran else None)

    def _arrival(self, job: LogicalJob, last: Attempt) -> Arrival:
        arrival = arrival_of(job)
        lacking = {attempt.instance for attempt in job.attempts if attempt.missing}
        others = self._settings.keys() - {last.instance} if job.is_load else set()      # a scenario's load stays put
        refused_by = frozenset(lacking | others)
        assert last.work is not None, "it ran to an end"
        return Arrival(job.name, arrival.at_ms, arrival.seq, last.work, last.instance, refused_by)

    def _assignments(self, ran: list[tuple[LogicalJob, Attempt]]) -> Iterator[Assignment]:
        """Yield each job's accepted attempts up to the decisive one; later ones were needless."""
        for index, (job, last) in enumerate(ran):
            for attempt in job.attempts[: last.number]:
                if attempt.is_accepted and attempt.instance in self._settings:
                    yield Assignment(attempt.sent_ms, attempt.seq, index, attempt.instance)

    def _up_from_start(self, assignments: list[Assignment]) -> Iterator[AvailabilityChange]:
        """Yield a start for each instance that accepted jobs before the log reports it as up."""
        first_up = {change.instance: change.seq for change in reversed(self.availability.changes) if change.is_up}
        first_assigned = {assignment.instance: assignment.seq for assignment in reversed(assignments)}
        for name, seq in first_assigned.items():
            if name not in first_up or seq < first_up[name]:
                yield AvailabilityChange(0, min(assignments[0].at_ms, 0), name, is_up=True, is_usable=True)
