"""What became of each logical job, over all its attempts: the fold that every judgement begins with."""

from __future__ import annotations

from dataclasses import dataclass, field

from comfyfarm.analysis.instance_jobs import InstanceJobs, route_of
from comfyfarm.analysis.logical_jobs import Attempt, Delivery, End, LogicalJob, Stop
from comfyfarm.events import (
    Delivered,
    Event,
    Exchanged,
    Failed,
    FaultFired,
    Finished,
    FrameSent,
    HistoryDeleted,
    InterruptAsked,
    Interrupted,
    PromptRefused,
    QueueCleared,
    QueueDeleted,
    Reset,
    ServerStopped,
    SocketClosed,
    SocketOpened,
    Submitted,
    Succeeded,
    Taken,
    Written,
)
from comfyfarm.events.handler import EventHandler, on


@dataclass(eq=False)
class JobTracker(EventHandler):
    """Follows all jobs of a farm.

    :ivar jobs: by name, in the order of their first attempt; also those that the farm sent itself.
    :ivar running: by instance, the attempt that runs.
    :ivar at: by instance, all attempts there, in the order in which they were decided.
    :ivar of_prompt: by prompt id, all attempts that were taken on under it.
    :ivar at_ms: the moment of the latest event.
    """

    jobs: dict[str, LogicalJob] = field(default_factory=dict)
    running: dict[str, Attempt] = field(default_factory=dict)
    at: dict[str, list[Attempt]] = field(default_factory=dict)
    of_prompt: dict[str, list[Attempt]] = field(default_factory=dict)
    at_ms: int = 0
    _places: dict[str, InstanceJobs] = field(default_factory=dict)

    def job(self, name: str) -> LogicalJob:
        """A logical job, made where there is none of that name yet."""
        if name not in self.jobs:
            self.jobs[name] = LogicalJob(name)
        return self.jobs[name]

    @property
    def tested(self) -> list[LogicalJob]:
        """The jobs of the system under test; a scenario's own load is nobody's fault."""
        return [job for job in self.jobs.values() if not job.is_load]

    def open_on(self, instance: str) -> list[Attempt]:
        """What waits or runs on an instance; those of one prompt id stand together."""
        return [each for attempts in self._place(instance).open.values() for each in attempts]

    def _place(self, instance: str) -> InstanceJobs:
        if instance not in self._places:
            self._places[instance] = InstanceJobs()
        return self._places[instance]

    def on_event(self, event: Event) -> None:
        """Take an event into account."""
        self.at_ms = max(self.at_ms, event.at_ms)
        super().on_event(event)

    # How an attempt begins.

    @on(Submitted)
    def _on_submitted(self, event: Submitted) -> None:
        attempt = self._begin(event, event.job, event.prompt_id, event.client_id)
        attempt.is_load = event.is_load
        self._place(event.instance).take_on(attempt)
        self.of_prompt.setdefault(event.prompt_id, []).append(attempt)

    @on(PromptRefused)
    def _on_prompt_refused(self, event: PromptRefused) -> None:
        attempt = self._begin(event, event.job, None, event.client_id)
        attempt.error, attempt.missing, attempt.is_load = event.error, event.missing, event.is_load
        self._refuse(attempt, event, 400)
        self._place(event.instance).unanswered.setdefault("", []).append(attempt)

    def _begin(self, event: Event, job: str, prompt_id: str | None, client: object) -> Attempt:
        logical = self.job(job)
        client_id = client if isinstance(client, str) else None
        number = len(logical.attempts) + 1
        attempt = Attempt(number, job, event.instance, event.epoch, prompt_id, event.at_ms, event.seq, client_id)
        attempt.began_ms = event.at_ms
        logical.attempts.append(attempt)
        self.at.setdefault(event.instance, []).append(attempt)
        return attempt

    def _refuse(self, attempt: Attempt, event: Event, status: int) -> None:
        attempt.end, attempt.ended_ms, attempt.end_seq, attempt.status = "refused", event.at_ms, event.seq, status

    # How it is answered, and what is asked about it.

    @on(Exchanged)
    def _on_exchanged(self, event: Exchanged) -> None:
        route = route_of(event.path)
        if event.method == "POST" and route == "/prompt":
            self._answered(event)
        elif event.method == "GET" and event.status == 200:
            self._place(event.instance).asked(event, route)

    def _answered(self, event: Exchanged) -> None:
        mine = self._place(event.instance).answered(event)
        if mine is not None:
            mine.status = event.status
        elif event.job and event.prompt_id is None:
            mine = self._begin(event, event.job, None, event.client_id)
            self._refuse(mine, event, event.status)
        else:
            return      # nobody knows what it was about
        mine.began_ms = min(event.began_ms, mine.sent_ms)
        mine.answered_ms, mine.answer_seq, mine.retry_after_ms = event.at_ms, event.seq, event.retry_after_ms
        garbled = self._place(event.instance).garbled
        mine.is_unreadable = mine.job in garbled
        garbled.discard(mine.job)

    @on(FrameSent)
    def _on_frame_sent(self, event: FrameSent) -> None:
        if event.type == "executed" and (attempt := self._open_one(event.instance, event.prompt_id)) is not None:
            attempt.seen += 1

    @on(SocketOpened, SocketClosed)
    def _on_socket_opened(self, event: SocketOpened | SocketClosed) -> None:
        for attempt in self.open_on(event.instance):
            if attempt.client_id == event.client_id:
                attempt.is_unheard = isinstance(event, SocketClosed)

    # How it runs, and how it ends.

    @on(Taken)
    def _on_taken(self, event: Taken) -> None:
        waiting = self._place(event.instance).open.get(event.prompt_id, [])
        attempt = next((each for each in waiting if each.taken_ms is None), None)
        if attempt is not None:
            attempt.taken_ms = event.at_ms
            self.running[event.instance] = attempt

    @on(Written)
    def _on_written(self, event: Written) -> None:
        attempt = self._open_one(event.instance, event.prompt_id)
        if attempt is not None:
            attempt.files += 1
            self._place(event.instance).files[event.folder, event.subfolder, event.name] = attempt

    @on(FaultFired)
    def _on_fault_fired(self, event: FaultFired) -> None:
        if event.do in _UNREADABLE and event.route == "/prompt" and event.job:
            self._place(event.instance).garbled.add(event.job)
        if (attempt := self._open_one(event.instance, event.prompt_id)) is not None:
            attempt.had_fault = True

    @on(Succeeded)
    def _on_succeeded(self, event: Succeeded) -> None:
        if (attempt := self._open_one(event.instance, event.prompt_id)) is not None:
            attempt.done_seq = event.seq

    @on(Failed)
    def _on_failed(self, event: Failed) -> None:
        if (attempt := self._open_one(event.instance, event.prompt_id)) is not None:
            attempt.error = str(event.error.get("exception_type", ""))

    @on(Interrupted)
    def _on_interrupted(self, event: Interrupted) -> None:
        if (attempt := self._open_one(event.instance, event.prompt_id)) is not None:
            attempt.is_interrupted = True

    @on(Finished)
    def _on_finished(self, event: Finished) -> None:
        attempt = self._open_one(event.instance, event.prompt_id)
        if attempt is None:
            return
        if event.status == "success":
            attempt.done_seq = attempt.done_seq or event.seq
            self._end(attempt, event, "success")
        else:
            self._end(attempt, event, "interrupted" if attempt.is_interrupted else "error")
        self._place(event.instance).show(attempt)

    @on(QueueDeleted, QueueCleared)
    def _on_queue_deleted(self, event: QueueDeleted | QueueCleared) -> None:
        for prompt_id in (event.prompt_id,) if isinstance(event, QueueDeleted) else event.prompt_ids:
            waiting = self._place(event.instance).open.get(prompt_id, [])
            attempt = next((each for each in waiting if each is not self.running.get(event.instance)), None)
            if attempt is not None:
                self._end(attempt, event, "deleted")

    @on(ServerStopped)
    def _on_server_stopped(self, event: ServerStopped) -> None:
        running = self.running.get(event.instance)
        if running is not None and event.reason == "crashed":
            running.kill_seq = running.kill_seq or event.seq
        for prompt_id in event.lost:
            if (attempt := self._open_one(event.instance, prompt_id)) is not None:
                self._end(attempt, event, "lost")
        kept = self.running.pop(event.instance, None)
        if kept is not None:
            kept.taken_ms, kept.done_seq, kept.is_interrupted, kept.error = None, 0, False, ""  # it waits again
        if "history" not in event.kept:
            self._place(event.instance).forget()

    @on(Reset)
    def _on_reset(self, event: Reset) -> None:
        for attempt in self.open_on(event.instance):
            self._end(attempt, event, "forgotten")
        self._place(event.instance).forget()

    @on(HistoryDeleted)
    def _on_history_deleted(self, event: HistoryDeleted) -> None:
        self._place(event.instance).drop(event.prompt_ids)

    def _open_one(self, instance: str, prompt_id: str | None) -> Attempt | None:
        """What runs under that id, else the first that waits under it."""
        if prompt_id is None:
            return None
        running = self.running.get(instance)
        if running is not None and running.prompt_id == prompt_id:
            return running
        return next(iter(self._place(instance).open.get(prompt_id, [])), None)

    def _end(self, attempt: Attempt, event: Event, end: End) -> None:
        self._place(attempt.instance).close(attempt)
        if attempt is self.running.get(attempt.instance):
            del self.running[attempt.instance]
        attempt.end, attempt.ended_ms, attempt.end_seq = end, event.at_ms, event.seq

    # What clients stop, and what they deliver.

    @on(InterruptAsked)
    def _on_interrupt_asked(self, event: InterruptAsked) -> None:
        meant = self._meant(event)
        if meant is not None:
            meant.given_up_seq = event.seq
        hit = self._open_one(event.instance, event.hit)
        if hit is not None and hit.stop is None:
            named = event.prompt_id is not None
            hit.stop = Stop(event.seq, event.at_ms, event.job, named, had_company=self._has_company(hit))

    def _meant(self, event: InterruptAsked) -> LogicalJob | None:
        """The logical job that an interrupt names, else the one of the attempt that it names."""
        if event.job:
            return self.jobs.get(event.job)
        named = [each for each in self.of_prompt.get(event.prompt_id or "", []) if each.instance == event.instance]
        return self.jobs[named[-1].job] if named else None

    def _has_company(self, hit: Attempt) -> bool:
        last = self._place(hit.instance).last
        lately = last is not None and last.job != hit.job and (last.ended_ms or 0) >= hit.sent_ms
        return lately or any(each.job != hit.job for each in self.open_on(hit.instance))

    @on(Delivered)
    def _on_delivered(self, event: Delivered) -> None:
        said = event.prompt_id, event.stamp_job, event.stamp_prompt_id, event.file
        self.job(event.job).delivered.append(Delivery(event.seq, event.at_ms, event.instance, *said))


_UNREADABLE = frozenset({"garbage", "truncate"})    # of such an answer a client knows the status at most
