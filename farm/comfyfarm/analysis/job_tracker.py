"""All logical jobs of a farm with their attempts, followed through the log: the basis of every analysis."""

from dataclasses import dataclass, field, replace
from sys import intern

from comfyfarm.analysis.instance_jobs import (
    FileKey,
    InstanceJobs,
    count_fetch,
    file_of,
    is_submission,
    route_of,
)
from comfyfarm.analysis.logical_jobs import Attempt, Delivery, End, LogicalJob, Stop, UserOrder, WrittenFile
from comfyfarm.analysis.makers import Makers
from comfyfarm.events import (
    Configured,
    Delivered,
    Event,
    Exchanged,
    Failed,
    FaultFired,
    FileCut,
    Finished,
    FrameSent,
    Frozen,
    HistoryDeleted,
    InternalError,
    InterruptAsked,
    Interrupted,
    OrderReported,
    Paused,
    PictureSent,
    PromptRefused,
    QueueCleared,
    QueueDeleted,
    Refusing,
    Reset,
    ServerReady,
    ServerStopped,
    SettingsChanged,
    SocketClosed,
    SocketOpened,
    Submitted,
    Succeeded,
    Taken,
    TrialBegan,
    Uploaded,
    Written,
)
from comfyfarm.events.handler import EventHandler, on
from comfyfarm.events.orders import DeliveryMode

_GARBLING_EFFECTS = frozenset({"garbage", "truncate"})
_RESULT_TYPES = frozenset({"executed", "binary-1", "binary-4"})
_EQUIPMENT = frozenset({"missing_nodes", "mode", "models", "open_models", "output_node", "validation"})
"""The settings that decide which prompts an instance refuses."""


@dataclass(eq=False)
class JobTracker(EventHandler):
    """Follows all jobs of a farm.

    Texts that it keeps are interned, because the same ids and names come in many events.

    :ivar jobs: by name, in the order of their first attempt; includes the farm's own load.
    :ivar running: by instance, the attempt that runs.
    :ivar by_instance: the attempts of the software under test at an instance, in the order in which they were decided.
    :ivar by_prompt_id: all attempts that were accepted under a prompt id.
    :ivar expected_jobs: the number of orders that the test stated; ``None`` if it did not.
    :ivar delivery: what counts as delivered, as the test stated it; ``None`` if it did not.
    :ivar requests_files: somebody requested a job's file from an instance.
    :ivar requests_results: somebody requested a history entry or the state of a job, or opened a websocket.
    :ivar trial_ms: the beginning of the trial; 0 for the first one.
    :ivar makers: finds the attempt that made what was delivered.
    :ivar pictures: by static instance, digest and size in bytes of its one picture.
    :ivar first_ms: the time of the first event; ``None`` if there is none.
    :ivar at_ms: the time of the latest event.
    :ivar trial: the name of the trial; empty if it has none.
    :ivar others: the names of jobs that are not the trial's own; they count as the farm's load.
    :ivar is_scoped: only the jobs of some clients are the trial's own; whose a request without a client id is, is not
        known.
    """

    jobs: dict[str, LogicalJob] = field(default_factory=dict)
    running: dict[str, Attempt] = field(default_factory=dict)
    by_instance: dict[str, list[Attempt]] = field(default_factory=dict)
    by_prompt_id: dict[str, list[Attempt]] = field(default_factory=dict)
    expected_jobs: int | None = None
    delivery: DeliveryMode | None = None
    requests_files: bool = False
    requests_results: bool = False
    trial_ms: int = 0
    makers: Makers = field(init=False)
    pictures: dict[str, tuple[str, int]] = field(default_factory=dict)
    first_ms: int | None = None
    at_ms: int = 0
    trial: str = ""
    others: set[str] = field(default_factory=set)
    is_scoped: bool = False
    _instances: dict[str, InstanceJobs] = field(default_factory=dict)
    _marks_results: bool = False
    _tested: list[LogicalJob] | None = None     # None if it is out of date

    def __post_init__(self) -> None:
        self.makers = Makers(self.by_prompt_id)

    def job(self, name: str) -> LogicalJob:
        """Return a logical job; create it if the name is new."""
        if name not in self.jobs:
            name = intern(name)
            self.jobs[name] = LogicalJob(name)
            self._tested = None
        return self.jobs[name]

    @property
    def tested(self) -> list[LogicalJob]:
        """The jobs of the system under test, without the farm's own load."""
        if self._tested is None:
            self._tested = [job for job in self.jobs.values() if not job.is_load]
        return self._tested

    def open_on(self, instance: str) -> list[Attempt]:
        """Return what waits or runs on an instance, grouped by prompt id."""
        return [attempt for same_id in self._instance(instance).open.values() for attempt in same_id]

    def is_in_history(self, attempt: Attempt) -> bool:
        return self._instance(attempt.instance).history.get(attempt.prompt_id or "") is attempt

    def writers_of(self, file: FileKey) -> dict[str, Attempt]:
        """Return, by instance, the attempt that wrote a file (its folder, subfolder and name)."""
        return {name: jobs.files[file].attempt for name, jobs in self._instances.items() if file in jobs.files}

    def _instance(self, name: str) -> InstanceJobs:
        if name not in self._instances:
            self._instances[name] = InstanceJobs()
        return self._instances[name]

    def on_event(self, event: Event) -> None:
        self.note_time(event)
        super().on_event(event)

    def note_time(self, event: Event) -> None:
        """Process what any event says; events without a handler need no more."""
        if event.at_ms != self.at_ms:
            self.at_ms = max(self.at_ms, event.at_ms)
        if self.first_ms is None:
            self.first_ms = event.at_ms

    @on(Configured)
    def _on_configured(self, event: Configured) -> None:
        self.delivery = event.config.get("farm", {}).get("delivery")
        self._marks_results = bool(event.version)

    @on(TrialBegan)
    def _on_trial_began(self, event: TrialBegan) -> None:
        self.expected_jobs, self.delivery = event.jobs, event.delivery or self.delivery
        self.trial = event.name

    @on(ServerReady)
    def _on_server_ready(self, event: ServerReady) -> None:
        if event.picture:
            self.pictures[event.instance] = event.picture, event.picture_bytes

    # The start of an attempt.

    @on(Submitted)
    def _on_submitted(self, event: Submitted) -> None:
        attempt = self._begin(event, event.prompt_id)
        self._instance(event.instance).add(attempt)
        self.by_prompt_id.setdefault(event.prompt_id, []).append(attempt)

    @on(PromptRefused)
    def _on_prompt_refused(self, event: PromptRefused) -> None:
        attempt = self._begin(event, None)
        attempt.error, attempt.missing = event.error, event.missing
        self._refuse(attempt, event, 400)
        self._instance(event.instance).unanswered.setdefault("", []).append(attempt)

    def _begin(self, event: Submitted | PromptRefused | Exchanged, prompt_id: str | None) -> Attempt:
        logical_job = self.job(event.job)
        attempts = logical_job.attempts
        client_id = event.client_id if isinstance(event.client_id, str) else None
        number = len(attempts) + 1
        attempt = Attempt(
            number,
            logical_job.name,
            intern(event.instance),
            event.epoch,
            prompt_id and intern(prompt_id),
            event.at_ms,
            event.seq,
            client_id and intern(client_id),
        )
        attempt.began_ms = event.at_ms
        is_own_load = not isinstance(event, Exchanged) and event.is_load     # load is not sent by HTTP
        attempt.is_load = is_own_load or event.job in self.others
        instance = self._instance(event.instance)
        attempt.upload_seq, attempt.equipped_seq = instance.upload_seq, instance.equipped_seq
        attempts.append(attempt)
        self._tested = None if number == 1 else self._tested
        if not attempt.is_load:
            self.by_instance.setdefault(event.instance, []).append(attempt)
        return attempt

    def _refuse(self, attempt: Attempt, event: Event, status: int) -> None:
        attempt.end, attempt.ended_ms, attempt.end_seq, attempt.status = "refused", event.at_ms, event.seq, status

    @on(Uploaded)
    def _on_uploaded(self, event: Uploaded) -> None:
        self._instance(event.instance).upload_seq = event.seq

    @on(SettingsChanged)
    def _on_settings_changed(self, event: SettingsChanged) -> None:
        if _EQUIPMENT & event.settings.keys():
            self._instance(event.instance).equipped_seq = event.seq

    # Its answer, and requests about it.

    @on(Exchanged)
    def _on_exchanged(self, event: Exchanged) -> None:
        if is_submission(event):
            self._on_prompt_answered(event)
        elif event.method == "GET":
            self._on_get(event, route_of(event.path))

    def _on_get(self, event: Exchanged, route: str) -> None:
        if route == "/view":
            self._on_view(event)
            return
        if route.startswith(("/history", "/jobs")):
            self.requests_results = True
        if event.status == 200:
            self._instance(event.instance).on_get(event, route)

    def _on_view(self, event: Exchanged) -> None:
        key = file_of(event)
        self.requests_files = self.requests_files or key[0] != "input"
        file = self._instance(event.instance).files.get(key)
        if file is None and event.status in {200, 206} and key[0] == "output":
            # It is in a folder that instances share: another one wrote it.
            writers = (jobs.files[key] for jobs in self._instances.values() if key in jobs.files)
            file = max(writers, key=lambda file: file.attempt.seq, default=None)
        if file is not None:
            count_fetch(file, event)

    def _on_prompt_answered(self, event: Exchanged) -> None:
        instance = self._instance(event.instance)
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
        attempt.is_unreadable = attempt.job in instance.garbled
        instance.garbled.discard(attempt.job)

    @on(FrameSent)
    def _on_frame_sent(self, event: FrameSent) -> None:
        if event.type not in _RESULT_TYPES or event.is_changed:
            return
        attempt = self._attempt_at(event.instance, event.prompt_id)
        if attempt is None or not (attempt.client_id is None or attempt.client_id in event.to):
            return
        if event.type == "executed":
            attempt.result_reads += 1
        elif event.is_result or (attempt.pictures and not self._marks_results):
            attempt.pictures_sent += 1

    @on(PictureSent)
    def _on_picture_sent(self, event: PictureSent) -> None:
        if event.is_result and (attempt := self._open_attempt(event.instance, event.prompt_id)) is not None:
            attempt.pictures += 1

    @on(SocketOpened, SocketClosed)
    def _on_socket_opened(self, event: SocketOpened | SocketClosed) -> None:
        self.requests_results = True
        for attempt in self.open_on(event.instance):
            if attempt.client_id == event.client_id:
                attempt.is_socket_closed = isinstance(event, SocketClosed)

    # Its run and its end.

    @on(Taken)
    def _on_taken(self, event: Taken) -> None:
        same_id = self._instance(event.instance).open.get(event.prompt_id, [])
        attempt = next((attempt for attempt in same_id if attempt.taken_ms is None), None)
        if attempt is not None:
            attempt.taken_ms = event.at_ms
            self.running[event.instance] = attempt

    @on(Written)
    def _on_written(self, event: Written) -> None:
        if (attempt := self._open_attempt(event.instance, event.prompt_id)) is not None:
            file = WrittenFile(attempt, event.name, event.size_bytes)
            attempt.saved += (file,)
            self._instance(event.instance).files[intern(event.folder), intern(event.subfolder), event.name] = file

    @on(FileCut)
    def _on_file_cut(self, event: FileCut) -> None:
        file = self._instance(event.instance).files.get((event.folder, event.subfolder, event.name))
        if file is not None:
            file.is_cut = file.is_cut or not file.size_bytes or event.size_bytes < file.size_bytes

    @on(FaultFired)
    def _on_fault_fired(self, event: FaultFired) -> None:
        if event.do in _GARBLING_EFFECTS and event.route == "/prompt" and event.job:
            self._instance(event.instance).garbled.add(event.job)
        if (attempt := self._open_attempt(event.instance, event.prompt_id)) is not None:
            attempt.had_fault = True
            attempt.disturbance = attempt.disturbance or (event.seq, event.at_ms)

    @on(Frozen, Paused, Refusing)
    def _on_instance_disturbed(self, event: Frozen | Paused | Refusing) -> None:
        for attempt in self.open_on(event.instance):
            attempt.disturbance = attempt.disturbance or (event.seq, event.at_ms)

    @on(Succeeded, Failed, Interrupted)
    def _on_outcome(self, event: Succeeded | Failed | Interrupted) -> None:
        attempt = self._open_attempt(event.instance, event.prompt_id)
        if attempt is None:
            return
        if isinstance(event, Succeeded):
            attempt.done_seq = event.seq
        elif isinstance(event, Failed):
            attempt.error = str(event.error.get("exception_type", ""))
        else:
            attempt.is_interrupted = True

    @on(Finished)
    def _on_finished(self, event: Finished) -> None:
        attempt = self._open_attempt(event.instance, event.prompt_id)
        if attempt is None:
            return
        if event.status == "success":
            attempt.done_seq = attempt.done_seq or event.seq
            self._end(attempt, event, "success")
        else:
            self._end(attempt, event, "interrupted" if attempt.is_interrupted else "error")
        self._instance(event.instance).add_to_history(attempt)

    @on(InternalError)
    def _on_internal_error(self, event: InternalError) -> None:
        if (attempt := self._open_attempt(event.instance, event.prompt_id)) is not None:
            self._end(attempt, event, "internal")
            self._instance(event.instance).add_to_history(attempt)

    @on(QueueDeleted, QueueCleared)
    def _on_queue_deleted(self, event: QueueDeleted | QueueCleared) -> None:
        for prompt_id in (event.prompt_id,) if isinstance(event, QueueDeleted) else event.prompt_ids:
            same_id = self._instance(event.instance).open.get(prompt_id, [])
            running = self.running.get(event.instance)
            attempt = next((attempt for attempt in same_id if attempt is not running), None)
            if attempt is not None:
                names_prompt = isinstance(event, QueueDeleted)
                attempt.stop = Stop(event.seq, event.at_ms, "", names_prompt, had_other_jobs=False)
                self._end(attempt, event, "deleted")

    @on(ServerStopped)
    def _on_server_stopped(self, event: ServerStopped) -> None:
        running = self.running.get(event.instance)
        if running is not None and event.reason == "crashed":
            running.kill_seq = running.kill_seq or event.seq
        for prompt_id in event.lost:
            if (attempt := self._open_attempt(event.instance, prompt_id)) is not None:
                attempt.has_left_files = self.delivery == "folder" and attempt.files > 0
                self._end(attempt, event, "lost")
        for attempt in self.open_on(event.instance):
            attempt.disturbance = attempt.disturbance or (event.seq, event.at_ms)
        kept = self.running.pop(event.instance, None)
        if kept is not None:    # The process kept its queue: the job waits again.
            kept.taken_ms, kept.done_seq, kept.is_interrupted, kept.error = None, 0, False, ""
        if "history" not in event.kept:
            self._instance(event.instance).clear_history()

    @on(Reset)
    def _on_reset(self, event: Reset) -> None:
        for attempt in self.open_on(event.instance):
            self._end(attempt, event, "forgotten")
        self._instance(event.instance).clear_history()
        if event.files:
            self._instance(event.instance).files.clear()

    @on(HistoryDeleted)
    def _on_history_deleted(self, event: HistoryDeleted) -> None:
        self._instance(event.instance).remove_from_history(event.prompt_ids)

    def _open_attempt(self, instance: str, prompt_id: str | None) -> Attempt | None:
        """Return the attempt that runs under a prompt id, else the first that waits under it."""
        if prompt_id is None:
            return None
        running = self.running.get(instance)
        if running is not None and running.prompt_id == prompt_id:
            return running
        return next(iter(self._instance(instance).open.get(prompt_id, [])), None)

    def _attempt_at(self, instance: str, prompt_id: str | None) -> Attempt | None:
        """Return the open attempt under a prompt id, else the latest that ended under it: a message may be late."""
        if (attempt := self._open_attempt(instance, prompt_id)) is not None:
            return attempt
        attempts = self.by_prompt_id.get(prompt_id or "", ())
        return next((attempt for attempt in reversed(attempts) if attempt.instance == instance), None)

    def _end(self, attempt: Attempt, event: Event, end: End) -> None:
        self._instance(attempt.instance).close(attempt)
        if attempt is self.running.get(attempt.instance):
            del self.running[attempt.instance]
        attempt.end, attempt.ended_ms, attempt.end_seq = end, event.at_ms, event.seq

    # Interrupts, orders and deliveries.

    @on(InterruptAsked)
    def _on_interrupt_asked(self, event: InterruptAsked) -> None:
        job = self._job_named_by(event)
        if job is not None:
            job.given_up_seq = event.seq
        hit = self._open_attempt(event.instance, event.hit)
        if hit is not None and hit.stop is None:
            names_prompt = event.prompt_id is not None
            others = self._has_other_jobs(hit)
            hit.stop = Stop(event.seq, event.at_ms, event.job, names_prompt, others, event.is_load)

    def _job_named_by(self, event: InterruptAsked) -> LogicalJob | None:
        """Return the logical job that an interrupt names, else the one whose attempt it names."""
        if event.job:
            return self.jobs.get(event.job)
        attempts = self.by_prompt_id.get(event.prompt_id or "", [])
        here = [attempt for attempt in attempts if attempt.instance == event.instance]
        return self.jobs[here[-1].job] if here else None

    def _has_other_jobs(self, hit: Attempt) -> bool:
        last = self._instance(hit.instance).last
        ended_since = last is not None and last.job != hit.job and (last.ended_ms or 0) >= hit.sent_ms
        return ended_since or any(attempt.job != hit.job for attempt in self.open_on(hit.instance))

    @on(OrderReported)
    def _on_order_reported(self, event: OrderReported) -> None:
        job, when_ms = self.job(event.job), event.at_ms if event.when_ms is None else event.when_ms
        order = job.order = job.order or UserOrder(when_ms, event.seq)
        if event.state == "asked":
            order.asked_ms, order.is_asked = min(order.asked_ms, when_ms), True
        elif event.state == "failed":
            order.failed_seq, order.failed_ms, order.why = event.seq, when_ms, event.why
        else:
            order.withdrawn_seq, order.withdrawn_ms = event.seq, when_ms

    @on(Delivered)
    def _on_delivered(self, event: Delivered) -> None:
        job, is_whole = self.job(event.job), event.content in {"", "picture"}
        delivery = Delivery(
            event.seq,
            event.at_ms,
            intern(event.instance),
            event.prompt_id and intern(event.prompt_id),
            intern(event.stamp_job),
            event.stamp_prompt_id and intern(event.stamp_prompt_id),
            event.file,
            event.content,
            0 if is_whole else event.size_bytes,
            "" if event.file and not self.pictures else event.digest,
        )
        if not is_whole:
            fetches = (attempt.broken_fetch for attempt in self.makers.possible(job, delivery))
            latest = max(filter(None, fetches), key=lambda fetch: fetch.seq, default=None)
            delivery = replace(delivery, broken_fetch=latest)
        job.delivered.append(delivery)
        claimed = self.makers.claimed(delivery)
        if claimed is not None and claimed.job != job.name and not job.attempts:
            claimed.delivered_as = claimed.delivered_as or job.name
