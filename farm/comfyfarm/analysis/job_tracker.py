"""All logical jobs of a farm with their attempts, followed through the log: the basis of every analysis."""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from sys import intern

from comfyfarm.analysis.forgotten import Forgotten
from comfyfarm.analysis.instance_jobs import InstanceJobs, is_submission
from comfyfarm.analysis.logical_jobs import Attempt, LogicalJob, Stop, is_hash, with_another
from comfyfarm.analysis.order_tracker import OrderTracker
from comfyfarm.analysis.result_tracker import ResultTracker
from comfyfarm.analysis.run_tracker import RunTracker
from comfyfarm.events import (
    Event,
    Exchanged,
    InterruptAsked,
    PromptRefused,
    SettingsChanged,
    Submitted,
    TrialBegan,
    Uploaded,
)
from comfyfarm.events.handler import EventHandler, on

_EQUIPMENT = frozenset({"missing_nodes", "mode", "models", "open_models", "output_node", "validation"})
"""The settings that decide which prompts an instance refuses."""
_BY_SEQ = attrgetter("seq")


@dataclass(eq=False)
class JobTracker(EventHandler):
    """Follows all jobs of a farm.

    Texts that it keeps are interned, because the same ids and names come in many events.

    :ivar jobs: by name, in the order of their first attempt; includes the farm's own load.
    :ivar by_instance: the attempts of the software under test at an instance, in the order in which they were decided.
    :ivar by_prompt_id: all attempts that were accepted under a prompt id.
    :ivar instances: the queue and the history of each instance.
    :ivar forgotten: the jobs that are no longer kept.
    :ivar unnamed_failures: the names of jobs without a name of their own of which an attempt was lost or refused.
    :ivar runs: follows the accepted attempts to their end, after the tracker has handled an event.
    :ivar results: follows what the attempts made, after that.
    :ivar orders: follows what was reported of orders, after that.
    :ivar trial_ms: the beginning of the trial; 0 for the first one.
    :ivar first_ms: the time of the first event; ``None`` if there is none.
    :ivar at_ms: the time of the latest event.
    :ivar seq: of the latest event.
    :ivar trial: the name of the trial; empty if it has none.
    :ivar others: the names of jobs that are not the trial's own; they count as the farm's load.
    :ivar is_scoped: only the jobs of some clients are the trial's own; whose a request without a client id is, is not
        known.
    """

    jobs: dict[str, LogicalJob] = field(default_factory=dict)
    by_instance: dict[str, list[Attempt]] = field(default_factory=dict)
    by_prompt_id: dict[str, Sequence[Attempt]] = field(default_factory=dict)
    instances: defaultdict[str, InstanceJobs] = field(default_factory=lambda: defaultdict(InstanceJobs))
    trial_ms: int = 0
    first_ms: int | None = None
    at_ms: int = 0
    seq: int = 0
    trial: str = ""
    others: set[str] = field(default_factory=set)
    is_scoped: bool = False
    forgotten: Forgotten = field(default_factory=Forgotten)
    unnamed_failures: set[str] = field(default_factory=set)
    _tested: list[LogicalJob] | None = None     # None if it is out of date

    def __post_init__(self) -> None:
        self.results = ResultTracker(self.instances, self.by_prompt_id, self.forgotten.files)
        self.orders = OrderTracker(self.job, self.by_prompt_id)
        self.runs = RunTracker(self.instances, self.orders, self.unnamed_failures)

    def job(self, name: str) -> LogicalJob:
        """Return a logical job; create it if the name is new."""
        if name not in self.jobs:
            name = intern(name)
            self.jobs[name] = LogicalJob(name, is_returned=self.forgotten.returns(name))
            self._tested = None
        return self.jobs[name]

    @property
    def tested(self) -> list[LogicalJob]:
        """The jobs of the system under test, without the farm's own load."""
        if self._tested is None:
            self._tested = [job for job in self.jobs.values() if not job.is_load]
        return self._tested

    def forget(self, jobs: Sequence[LogicalJob]) -> None:
        """Drop jobs of which nothing more can be found, but for what :class:`Forgotten` keeps of them."""
        attempts = {attempt for job in jobs for attempt in job.attempts}
        for job in jobs:
            self.forgotten.add(job)
            del self.jobs[job.name]
            self.others.discard(job.name)
        for attempt in attempts:
            self.by_prompt_id.pop(attempt.prompt_id or "", None)
            for file in self.instances[attempt.instance].forget(attempt):
                self.forgotten.files.add(attempt.instance, *file)
        last_seq = max((attempt.seq for attempt in attempts), default=0)
        for name in {attempt.instance for attempt in attempts}:
            sent = self.by_instance.get(name, [])
            end = bisect_right(sent, last_seq, key=_BY_SEQ)     # Most of the others are later.
            sent[:end] = [attempt for attempt in sent[:end] if attempt not in attempts]
        self._tested = None

    def on_event(self, event: Event) -> None:
        self.note_time(event)
        super().on_event(event)
        self.runs.on_event(event)
        self.results.on_event(event)
        self.orders.on_event(event)

    def note_time(self, event: Event) -> None:
        """Process what any event says; events without a handler need no more."""
        self.seq = event.seq
        if event.at_ms != self.at_ms:
            self.at_ms = max(self.at_ms, event.at_ms)
        if self.first_ms is None:
            self.first_ms = event.at_ms

    @on(TrialBegan)
    def _on_trial_began(self, event: TrialBegan) -> None:
        self.trial = event.name

    # The start of an attempt.

    @on(Submitted)
    def _on_submitted(self, event: Submitted) -> None:
        attempt = self._begin(event, event.prompt_id)
        self.instances[event.instance].add(attempt)
        same_id = self.by_prompt_id.get(event.prompt_id, ())
        self.by_prompt_id[attempt.prompt_id or ""] = with_another(same_id, attempt)

    @on(PromptRefused)
    def _on_prompt_refused(self, event: PromptRefused) -> None:
        attempt = self._begin(event, None)
        attempt.error, attempt.missing = event.error, event.missing
        self._refuse(attempt, event, 400)
        self.instances[event.instance].unanswered.setdefault("", []).append(attempt)

    def _begin(self, event: Submitted | PromptRefused | Exchanged, prompt_id: str | None) -> Attempt:
        logical_job = self.job(event.job)
        instance, number = self.instances[event.instance], len(logical_job.attempts) + 1
        client_id = event.client_id if isinstance(event.client_id, str) else None
        is_own_load = not isinstance(event, Exchanged) and event.is_load     # load is not sent by HTTP
        attempt = Attempt(
            number,
            logical_job.name,
            intern(event.instance),
            event.epoch,
            prompt_id and intern(prompt_id),
            event.at_ms,
            event.seq,
            client_id and intern(client_id),
            began_ms=event.at_ms,
            upload_seq=instance.upload_seq,
            equipped_seq=instance.equipped_seq,
            is_load=is_own_load or event.job in self.others,
        )
        logical_job.attempts = with_another(logical_job.attempts, attempt)
        if number == 1:
            self._tested = None     # only now it is known if it is load
        if not attempt.is_load:
            self.by_instance.setdefault(event.instance, []).append(attempt)
        return attempt

    def _refuse(self, attempt: Attempt, event: Event, status: int) -> None:
        attempt.end, attempt.ended_ms, attempt.end_seq, attempt.status = "refused", event.at_ms, event.seq, status
        if is_hash(attempt.job):
            self.unnamed_failures.add(attempt.job)

    @on(Uploaded)
    def _on_uploaded(self, event: Uploaded) -> None:
        self.instances[event.instance].upload_seq = event.seq

    @on(SettingsChanged)
    def _on_settings_changed(self, event: SettingsChanged) -> None:
        if _EQUIPMENT & event.settings.keys():
            self.instances[event.instance].equipped_seq = event.seq

    @on("POST /prompt")
    def _on_exchanged(self, event: Exchanged) -> None:
        if not is_submission(event):
            return
        instance = self.instances[event.instance]
        attempt = instance.pop_answered(event)
        if attempt is not None:
            attempt.status = event.status
        elif event.job and event.prompt_id is None and event.began_ms >= self.trial_ms:
            # It failed before validation, and has no other event.
            attempt = self._begin(event, None)
            self._refuse(attempt, event, event.status)
        else:
            return
        attempt.began_ms = min(attempt.sent_ms, event.began_ms)     # if they are equal, one object for both
        attempt.answered_ms, attempt.answer_seq, attempt.retry_after_ms = event.at_ms, event.seq, event.retry_after_ms
        instance.asked_to_wait = instance.asked_to_wait or event.retry_after_ms is not None
        attempt.is_unreadable = attempt.job in instance.garbled
        instance.garbled.discard(attempt.job)

    # Interrupts.

    @on(InterruptAsked)
    def _on_interrupt_asked(self, event: InterruptAsked) -> None:
        job = self._job_named_by(event)
        if job is not None:
            job.given_up_seq = event.seq
        hit = self.instances[event.instance].open_attempt(event.hit)
        if hit is not None and hit.stop is None:
            names_prompt = event.prompt_id is not None
            others = self.instances[hit.instance].has_other_jobs(hit)
            hit.stop = Stop(event.seq, event.at_ms, event.job, names_prompt, others, event.is_load)

    def _job_named_by(self, event: InterruptAsked) -> LogicalJob | None:
        """Return the logical job that an interrupt names, else the one whose attempt it names."""
        if event.job:
            return self.jobs.get(event.job)
        attempts = self.by_prompt_id.get(event.prompt_id or "", ())
        here = [attempt for attempt in attempts if attempt.instance == event.instance]
        return self.jobs[here[-1].job] if here else None
