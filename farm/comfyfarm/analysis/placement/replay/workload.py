"""What came to the farm and when, and which instances were there: all that a replay needs of a log."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from comfyfarm.analysis.job_tracker import JobTracker
from comfyfarm.analysis.logical_jobs import Attempt, LogicalJob
from comfyfarm.analysis.placement.availability import AvailabilityChange, AvailabilityPeriods
from comfyfarm.events import Configured, Finished, ModelLoaded, SettingsChanged, Work
from comfyfarm.events.handler import EventHandler, on
from comfyfarm.sim.memory import ModelFile

Settings = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Arrival:
    """A logical job as it came to the farm.

    :ivar at_ms: when it was sent first.
    :ivar work: what it came to.
    :ivar ran_on: the instance that did that work.
    :ivar refused_by: the instances that lacked something for it.
    """

    job: str
    at_ms: int
    seq: int
    work: Work
    ran_on: str
    refused_by: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Assignment:
    """A job was given to an instance.

    :ivar place: of the job among the arrivals.
    """

    at_ms: int
    seq: int
    place: int
    instance: str


@dataclass(frozen=True, slots=True)
class SettingsChange:
    """An instance's settings changed.

    :ivar settings: the new values, by key.
    """

    at_ms: int
    seq: int
    instance: str
    settings: Settings


@dataclass(frozen=True)
class Workload:
    """A log, as far as a replay goes by it.

    :ivar settings: by instance, what it was set to at first; in the order of the configuration.
    :ivar warm: by instance, the models that are in memory when it starts.
    :ivar arrivals: every job that some instance worked for, in the order in which they came.
    :ivar given: how the tested system placed them, in the order in which it did.
    :ivar changes: of the instances, in their order.
    :ivar left_out: how many logical jobs were taken on and never ran to an end: nobody knows how long they take.
    """

    settings: dict[str, Settings]
    warm: dict[str, tuple[ModelFile, ...]]
    arrivals: tuple[Arrival, ...]
    given: tuple[Assignment, ...]
    changes: tuple[AvailabilityChange | SettingsChange, ...]
    left_out: int = 0


@dataclass(eq=False)
class WorkloadRecorder(EventHandler):
    """Follows a log; it keeps a few values for each run, and for each change of an instance.

    It hears each event behind the :class:`JobTracker` and the :class:`AvailabilityPeriods`.
    """

    attempts: JobTracker
    spells: AvailabilityPeriods
    _settings: dict[str, Settings] = field(default_factory=dict)
    _warm: dict[str, dict[ModelFile, None]] = field(default_factory=dict)
    _works: dict[int, Work] = field(default_factory=dict)
    _changes: list[SettingsChange] = field(default_factory=list)

    @on(Configured)
    def _on_configured(self, event: Configured) -> None:
        for each in event.config.get("instance", ()):
            self._settings.setdefault(each["name"], dict(each))

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
        self._works[event.seq] = event.work

    # All of it.

    def traffic(self) -> Workload:
        """What was heard so far."""
        ran = [(job, last) for job in self.attempts.jobs.values() if (last := self._decisive(job)) is not None]
        ran.sort(key=lambda each: (each[0].attempts[0].sent_ms, each[0].attempts[0].seq))
        given = sorted(self._given(ran), key=lambda each: (each.at_ms, each.seq))
        changes: list[AvailabilityChange | SettingsChange] = [
            *self._always_up(given),
            *self.spells.spells,
            *self._changes,
        ]
        taken_on = [job for job in self.attempts.jobs.values() if any(each.is_accepted for each in job.attempts)]
        return Workload(
            settings=dict(self._settings),
            warm={name: tuple(files) for name, files in self._warm.items()},
            arrivals=tuple(self._arrival(job, last) for job, last in ran),
            given=tuple(given),
            changes=tuple(sorted(changes, key=lambda each: (each.at_ms, each.seq))),
            left_out=len(taken_on) - len(ran),
        )

    def _decisive(self, job: LogicalJob) -> Attempt | None:
        """Which tells what the job comes to: the first attempt that succeeded, else the last that ran to an end."""
        ran = [each for each in job.attempts if each.end_seq in self._works and each.instance in self._settings]
        return next((each for each in ran if each.end == "success"), ran[-1] if ran else None)

    def _arrival(self, job: LogicalJob, last: Attempt) -> Arrival:
        first = job.attempts[0]
        lacking = {each.instance for each in job.attempts if each.missing}
        others = self._settings.keys() - {last.instance} if job.is_load else set()     # nobody chose where it goes
        refused_by = frozenset(lacking | others)
        return Arrival(job.name, first.sent_ms, first.seq, self._works[last.end_seq], last.instance, refused_by)

    def _given(self, ran: list[tuple[LogicalJob, Attempt]]) -> Iterator[Assignment]:
        """Where each job was, up to the attempt that decided: what was sent after that was needless."""
        for place, (job, last) in enumerate(ran):
            for each in job.attempts[: last.number]:
                if each.is_accepted and each.instance in self._settings:
                    yield Assignment(each.sent_ms, each.seq, place, each.instance)

    def _always_up(self, given: list[Assignment]) -> Iterator[AvailabilityChange]:
        """The instances that took jobs on before anything said that they are up: the log does not tell of that."""
        first_up = {each.instance: each.seq for each in reversed(self.spells.spells) if each.is_up}
        first_given = {each.instance: each.seq for each in reversed(given)}
        for name, seq in first_given.items():
            if name not in first_up or seq < first_up[name]:
                yield AvailabilityChange(0, min(given[0].at_ms, 0), name, is_up=True, is_usable=True)
