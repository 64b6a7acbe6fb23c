"""The scope of a trial: which submissions are its own, and what becomes of events about other jobs."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from msgspec.structs import replace

from comfyfarm.analysis.forgotten import HashSet
from comfyfarm.analysis.instance_jobs import is_submission
from comfyfarm.analysis.logical_jobs import LogicalJob
from comfyfarm.events import Delivered, Event, Exchanged, InterruptAsked, OrderReported, PromptRefused, Submitted

_SUBMISSIONS = Submitted, PromptRefused, Exchanged
_REPORTS = Delivered, OrderReported
SCOPED = frozenset({*_SUBMISSIONS, *_REPORTS, InterruptAsked})
"""The types of events that a scope may change; all others pass as they are."""


@dataclass(eq=False)
class TrialScope:
    """Turns the events of a log into those that a trial's analysis processes.

    Jobs that are not the trial's own (of earlier trials, or of clients out of scope) occupy the instances all the
    same.  They get a name of their own, because a job of the trial may have the same, and count as the farm's load.

    :ivar began_ms: the beginning of the trial.
    :ivar client: a glob: the jobs of clients with such an id are the trial's own; empty: those of all clients.
    :ivar former: the names of logical jobs of earlier trials.
    :ivar forgotten: the names of the trial's own jobs that are no longer kept.
    :ivar others: the names of all jobs that are not the trial's own, as they are here.
    """

    began_ms: int
    client: str
    former: Collection[str]
    others: set[str]
    forgotten: HashSet = field(default_factory=HashSet)
    _own: set[str] = field(default_factory=set)
    _other_ids: dict[str, str] = field(default_factory=dict)    # by prompt id, the name that the log has for the job
    _held: dict[str, list[Event]] = field(default_factory=dict)

    def events(self, event: Event) -> Iterable[Event]:
        """Return the events to process in place of one."""
        if isinstance(event, _SUBMISSIONS):
            return self._submission(event)
        if isinstance(event, _REPORTS):
            return self._report(event)
        if isinstance(event, InterruptAsked) and event.hit in self._other_ids:
            return (replace(event, hit=None),)
        return (event,)

    def forget(self, jobs: Iterable[LogicalJob]) -> None:
        """Drop the names of jobs that are no longer kept."""
        for job in jobs:
            self._own.discard(job.name)
            for attempt in job.attempts:
                self._other_ids.pop(attempt.prompt_id or "", None)

    def other(self, event: Submitted | PromptRefused | Exchanged) -> Event:
        """Return a submission as that of a job that is not the trial's own; the farm's own load stays as it is."""
        if not isinstance(event, Exchanged) and event.is_load:
            return event
        name = f"{event.job} (not of this trial)"
        self.others.add(name)
        if isinstance(event, Submitted):
            self._other_ids[event.prompt_id] = event.job
        return replace(event, job=name)

    def _submission(self, event: Submitted | PromptRefused | Exchanged) -> Iterable[Event]:
        if isinstance(event, Exchanged) and not (event.job and is_submission(event)):
            return (event,)
        client_id = event.client_id if isinstance(event.client_id, str) else ""
        if self.client and not fnmatchcase(client_id, self.client):
            return (self.other(event),)
        if isinstance(event, Exchanged) and (event.prompt_id is not None or event.began_ms < self.began_ms):
            return (event,)     # the answer to a submission that the log has already, or that began before the trial
        self._own.add(event.job)
        if isinstance(event, Submitted):    # A client may choose an id that has been used.
            self._other_ids.pop(event.prompt_id, None)
        return (*self._held.pop(event.job, ()), event)

    def _report(self, event: Delivered | OrderReported) -> Iterable[Event]:
        if isinstance(event, Delivered) and event.job in map(
            self._other_ids.get, (event.prompt_id or "", event.stamp_prompt_id or "")
        ):
            return ()   # It is what another job of this name has made.
        if event.job in self._own or self.forgotten.has(event.job):
            return (event,)
        if self.client:     # Whose it is will be known when it is submitted.
            self._held.setdefault(event.job, []).append(event)
            return ()
        if isinstance(event, OrderReported) and event.state == "asked":
            self._own.add(event.job)
            return (event,)
        return () if event.job in self.former else (event,)
