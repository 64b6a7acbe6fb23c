"""The runs of accepted attempts: what happened to each, and how it ended."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from comfyfarm.analysis.instance_jobs import InstanceJobs
from comfyfarm.analysis.logical_jobs import Attempt, End, Stop, is_hash
from comfyfarm.analysis.order_tracker import OrderTracker
from comfyfarm.events import (
    Event,
    Failed,
    FaultFired,
    Finished,
    Frozen,
    InternalError,
    Interrupted,
    Paused,
    QueueCleared,
    QueueDeleted,
    Refusing,
    Reset,
    ServerStopped,
    Succeeded,
    Taken,
)
from comfyfarm.events.handler import EventHandler, on

_GARBLING_EFFECTS = frozenset({"garbage", "truncate"})


@dataclass(eq=False)
class RunTracker(EventHandler):
    """Follows the accepted attempts of a :class:`~comfyfarm.analysis.job_tracker.JobTracker` to their end.

    :ivar instances: the tracker's, as are ``orders`` and ``unnamed_failures``.
    """

    instances: Mapping[str, InstanceJobs]
    orders: OrderTracker
    unnamed_failures: set[str]

    @on(Taken)
    def _on_taken(self, event: Taken) -> None:
        instance = self.instances[event.instance]
        same_id = instance.open.get(event.prompt_id, [])
        attempt = next((attempt for attempt in same_id if attempt.taken_ms is None), None)
        if attempt is not None:
            attempt.taken_ms = event.at_ms
            instance.running = attempt

    @on(FaultFired)
    def _on_fault_fired(self, event: FaultFired) -> None:
        instance = self.instances[event.instance]
        if event.do in _GARBLING_EFFECTS and event.route == "/prompt" and event.job:
            instance.garbled.add(event.job)
        if (attempt := instance.open_attempt(event.prompt_id)) is not None:
            attempt.had_fault = True
            instance.had_fault = instance.had_fault or not attempt.is_load
            _note_disturbance([attempt], event)

    @on(Frozen, Paused, Refusing)
    def _on_instance_disturbed(self, event: Frozen | Paused | Refusing) -> None:
        _note_disturbance(self.instances[event.instance].all_open(), event)

    @on(Succeeded, Failed, Interrupted)
    def _on_outcome(self, event: Succeeded | Failed | Interrupted) -> None:
        attempt = self.instances[event.instance].open_attempt(event.prompt_id)
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
        attempt = self.instances[event.instance].open_attempt(event.prompt_id)
        if attempt is None:
            return
        if event.status == "success":
            attempt.done_seq = attempt.done_seq or event.seq
            self._end(attempt, event, "success")
        elif attempt.is_internal:
            self._end(attempt, event, "internal")
        else:
            self._end(attempt, event, "interrupted" if attempt.is_interrupted else "error")
        self.instances[event.instance].add_to_history(attempt)

    @on(InternalError)
    def _on_internal_error(self, event: InternalError) -> None:
        if (attempt := self.instances[event.instance].open_attempt(event.prompt_id)) is not None:
            attempt.is_internal = True

    @on(QueueDeleted, QueueCleared)
    def _on_queue_deleted(self, event: QueueDeleted | QueueCleared) -> None:
        instance, names_prompt = self.instances[event.instance], isinstance(event, QueueDeleted)
        for prompt_id in (event.prompt_id,) if isinstance(event, QueueDeleted) else event.prompt_ids:
            same_id = instance.open.get(prompt_id, [])
            attempt = next((attempt for attempt in same_id if attempt is not instance.running), None)
            if attempt is not None:
                attempt.stop = Stop(event.seq, event.at_ms, "", names_prompt, had_other_jobs=False)
                self._end(attempt, event, "deleted")

    @on(ServerStopped)
    def _on_server_stopped(self, event: ServerStopped) -> None:
        instance = self.instances[event.instance]
        if instance.running is not None and event.reason == "crashed":
            instance.running.kill_seq = instance.running.kill_seq or event.seq
        for prompt_id in event.lost:
            if (attempt := instance.open_attempt(prompt_id)) is not None:
                attempt.has_left_files = self.orders.delivery == "folder" and bool(attempt.files)
                self._end(attempt, event, "lost")
                if is_hash(attempt.job):
                    self.unnamed_failures.add(attempt.job)
        _note_disturbance(instance.all_open(), event)
        kept, instance.running = instance.running, None
        if kept is not None:    # The process kept its queue: the job waits again.
            kept.taken_ms, kept.done_seq, kept.is_interrupted, kept.error = None, 0, False, ""
        if "history" not in event.kept:
            instance.clear_history()

    @on(Reset)
    def _on_reset(self, event: Reset) -> None:
        instance = self.instances[event.instance]
        for attempt in list(instance.all_open()):
            self._end(attempt, event, "forgotten")
        instance.clear_history()
        if event.files:
            instance.files.clear()

    def _end(self, attempt: Attempt, event: Event, end: End) -> None:
        self.instances[attempt.instance].close(attempt)
        attempt.end, attempt.ended_ms, attempt.end_seq = end, event.at_ms, event.seq


def _note_disturbance(attempts: Iterable[Attempt], event: Event) -> None:
    for attempt in attempts:
        attempt.disturbance = attempt.disturbance or (event.seq, event.at_ms)
