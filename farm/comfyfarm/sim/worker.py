"""The worker of one instance: it runs the queued jobs one after another, in simulated time.

A job is a generator of pauses (``comfyfarm.faults.pauses``).  The worker resumes it when the pause is over::

    Queue.take --> Execution.run --pause--> int      after that many milliseconds
                        ^                   Sleep    the same, but at `wake` if its hold is no longer active
                        |                   WAIT     at `wake`
                        |                   Firing   at once, after the process has carried out the fault
                        +---- advance <---- the owner, at `due_ms`

``pause`` stops the steps of jobs only.  ``suspend`` stops everything, because the whole process is frozen; what was due
is put off by as long as that lasts.
"""

import heapq
from collections.abc import Callable, Generator
from contextlib import suppress
from dataclasses import dataclass, field

from comfyfarm.events import Finished, Paused, Resumed, Taken
from comfyfarm.faults.fault import Firing
from comfyfarm.faults.pauses import Hold, Pause, Sleep
from comfyfarm.sim.errors import internal_error
from comfyfarm.sim.execution.execution import Execution
from comfyfarm.sim.jobs import EndedJob, History, HistoryEntry, Job, Queue
from comfyfarm.sim.machine import Machine
from comfyfarm.sim.nodes import NodeError
from comfyfarm.sim.prompt.submission import SECRETS


@dataclass(eq=False, kw_only=True)
class Worker:
    """Takes job after job from the queue, runs it and adds it to history.

    The owner calls :meth:`advance` whenever :attr:`due_ms` is reached.

    :ivar fire_process: called with each firing that concerns the process, at a phase of a job.
    :ivar execution: of the running job, or ``None``.
    """

    machine: Machine
    fire_process: Callable[[Firing], None]
    queue: Queue = field(default_factory=Queue)
    history: History = field(default_factory=History)
    execution: Execution | None = None
    is_paused: bool = False
    _step_ms: int | None = None
    _put_off_ms: int = 0
    _suspended_ms: int | None = None
    _remaining_ms: int = 0
    _free_memory: bool = False
    _unload_models: bool = False
    _sleep_hold: Hold | None = None
    _steps: Generator[Pause, None, None] | None = None
    _timers: list[tuple[int, int, Callable[[], None]]] = field(default_factory=list)
    _timer_count: int = 0

    def __post_init__(self) -> None:
        self.machine.count_waiting = lambda: self.queue.waiting

    @property
    def due_ms(self) -> int | None:
        """The time of the next step, or ``None`` if there is nothing to do."""
        if self._suspended_ms is not None:
            return None
        if not self._timers:
            return self._step_ms
        timer_ms = self._timers[0][0]
        return timer_ms if self._step_ms is None else min(self._step_ms, timer_ms)

    def advance(self, now_ms: int, may_go_on: Callable[[], bool] = lambda: True) -> None:
        """Run everything that is due, in order; each step sees the time at which it was due.

        An exception is an error of comfyfarm's own.  Its job has ended, its event is published, and what is due after
        it has not been done yet.

        :param may_go_on: called after each step; ``False`` puts off what is still due, which then sees no time before
            ``now_ms``.
        """
        while (due_ms := self.due_ms) is not None and due_ms <= now_ms:
            self.machine.at_ms = max(due_ms, self._put_off_ms)
            if self._timers and self._timers[0][0] == due_ms:
                self._fire_timer()
            else:
                self._take_step()
            if not may_go_on():
                self.put_off(now_ms)
                return

    def is_due(self, now_ms: int) -> bool:
        """Return whether anything is to be done by then."""
        due_ms = self.due_ms
        return due_ms is not None and due_ms <= now_ms

    def put_off(self, now_ms: int) -> None:
        """Let what is due, but not yet done, see no time before this one."""
        self._put_off_ms = max(self._put_off_ms, now_ms)

    def _take_step(self) -> None:
        try:
            steps = self._begin() if self._steps is None else self._steps
            try:
                pause = next(steps)
            except StopIteration:
                self._finish()
                return
            self._sleep_hold = None
            if isinstance(pause, int):      # as nearly all are
                self._step_ms = self.machine.at_ms + pause
            else:
                self._wait(pause)
        except BaseException as error:
            self._fail(error)
            raise

    def _fire_timer(self) -> None:
        try:
            heapq.heappop(self._timers)[-1]()
        except Exception as error:
            self._report(error, None)
            raise

    def later(self, after_ms: int, act: Callable[[], None]) -> None:
        """Call ``act`` after ``after_ms``, counted from the machine's time, unless the instance is reset first."""
        self._timer_count += 1
        heapq.heappush(self._timers, (self.machine.at_ms + after_ms, self._timer_count, act))

    def _finish(self) -> None:
        assert self.execution is not None, "its steps are over"
        self._end(self.execution)
        self._step_ms = self.machine.at_ms if self.queue.waiting else None

    def _begin(self) -> Generator[Pause, None, None]:
        job = self.queue.take()
        self.execution = execution = Execution(job, self.machine, self.later)
        self.machine.interrupt = False
        # A preview's letters belong to the node's object, which ComfyUI keeps while successive jobs contain the node.
        kept = job.prompt if self.machine.cache.is_on else {}
        self.machine.namer.keep_temp_prefixes({node: str(value.get("class_type")) for node, value in kept.items()})
        self.machine.publish(
            Taken(
                at_ms=self.machine.at_ms,
                prompt_id=job.prompt_id,
                job=job.name,
                ordinal=job.order + 1,
                client_id=job.client_id,
                workflow_metadata=job.workflow_metadata if self.machine.behaviour.merges_workflow_metadata else None,
                queue_remaining=self.queue.remaining,
            )
        )
        self._steps = steps = execution.run()
        return steps

    def _wait(self, pause: Sleep | Hold | None) -> None:
        if isinstance(pause, Sleep):
            self._sleep_hold = pause.hold
            self._step_ms = self.machine.at_ms + pause.ms
        elif isinstance(pause, Firing):
            self._step_ms = self.machine.at_ms      # the job goes on, unless the fault ends the process
            self.fire_process(pause)
        else:
            self._step_ms = None

    def on_queued(self) -> None:
        """Schedule the first step of a job that was put into the queue now, if the worker is idle."""
        if self._steps is None and self._step_ms is None and not self.is_paused:
            self._step_ms = self._effective_ms(self.machine.at_ms)

    def wake(self, now_ms: int) -> None:
        """Resume a job that waits, or that sleeps on a hold which is no longer active."""
        if self._steps is None:
            return
        sleep_is_over = self._sleep_hold is not None and not self._sleep_hold.active
        if self.is_paused:
            self._remaining_ms = 0 if sleep_is_over else self._remaining_ms
        elif self._step_ms is None or sleep_is_over:
            self._step_ms = self._effective_ms(now_ms)

    def _effective_ms(self, now_ms: int) -> int:
        return now_ms if self._suspended_ms is None else self._suspended_ms

    @property
    def is_suspended(self) -> bool:
        return self._suspended_ms is not None

    def suspend(self, now_ms: int) -> None:
        """Run nothing, whatever is due, until :meth:`unsuspend`."""
        if self._suspended_ms is None:
            self._suspended_ms = now_ms

    def unsuspend(self, now_ms: int) -> None:
        """Continue after :meth:`suspend`; everything keeps the time that it still had to wait."""
        if self._suspended_ms is None:
            return
        missed_ms = now_ms - self._suspended_ms
        self._suspended_ms = None
        if self._step_ms is not None:
            self._step_ms += missed_ms
        self._timers = [(due_ms + missed_ms, count, act) for due_ms, count, act in self._timers]

    def _fail(self, error: BaseException) -> None:
        """End the running job after an error of comfyfarm's own, as ComfyUI does after an exception in a node.

        What failed may be a listener to the log, which then fails again: each event is published all the same.
        """
        execution = self.execution
        if self._steps is not None:
            self._steps.close()
        with suppress(Exception):
            self._report(error, self.queue.running)
        if execution is not None:
            with suppress(Exception):
                execution.record.fail(NodeError.of(error), {})
            with suppress(Exception):
                self._end(execution)
        self._steps = self.execution = self.queue.running = None
        self._step_ms = self.machine.at_ms if self.queue.waiting else None

    def _report(self, error: BaseException, job: Job | None) -> None:
        place = {} if job is None else {"prompt_id": job.prompt_id, "job": job.name}
        self.machine.publish(internal_error(error, self.machine.at_ms, **place))

    def _add_to_history(self, entry: HistoryEntry) -> EndedJob:
        if self.machine.behaviour.hides_secrets_in_history:
            entry.job.hide(SECRETS)     # an older queue has shown them until now
        ended = EndedJob.of(entry)
        self.history.add(ended, self.machine.settings.history_limit)
        return ended

    def _end(self, execution: Execution) -> None:
        # The history entry is there before clients learn of the end, as in ComfyUI.
        entry = execution.record.entry
        ended = self._add_to_history(entry)
        if execution.faults.forget_after_ms is not None:
            self._drop_after(ended, execution.faults.forget_after_ms)
        self._steps = self.execution = self.queue.running = None
        self._free()
        self.machine.publish(
            Finished(
                at_ms=self.machine.at_ms,
                prompt_id=entry.job.prompt_id,
                work=execution.durations.work.total,
                status=entry.status_str,
                queue_remaining=self.queue.remaining,
            )
        )

    def _drop_after(self, ended: EndedJob, after_ms: int) -> None:
        def drop() -> None:
            if self.history.entries.get(ended.prompt_id) is ended:      # a later job may have the same id
                del self.history.entries[ended.prompt_id]

        if after_ms:
            self.later(after_ms, drop)
        else:
            drop()

    def pause(self, now_ms: int) -> None:
        """Take no further step; clients are served as before."""
        if not self.is_paused:
            self.is_paused = True
            self._remaining_ms = 0
            if self._steps is not None:
                self._remaining_ms = max(0, (self._step_ms or 0) - self._effective_ms(now_ms))
            self._step_ms = None
            self.machine.publish(Paused(at_ms=now_ms))

    def resume(self, now_ms: int) -> None:
        """Continue after :meth:`pause`; the running step keeps the time that it still had to wait."""
        if self.is_paused:
            self.is_paused = False
            has_work = self._steps is not None or self.queue.waiting
            self._step_ms = self._effective_ms(now_ms) + self._remaining_ms if has_work else None
            self.machine.publish(Resumed(at_ms=now_ms))

    def free_when_idle(self, *, unload_models: bool, free_memory: bool) -> None:
        """Free memory now, or at the end of the running job."""
        self._free_memory = self._free_memory or free_memory
        self._unload_models = self._unload_models or unload_models
        if self._steps is None:
            self._free()

    def _free(self) -> None:
        if self._free_memory:
            self.machine.cache.clear()
        if self._unload_models:
            self.machine.unload_models("asked")
        self._free_memory = self._unload_models = False

    def forget(self) -> None:
        """Drop queue, running job, history, results and pause, without an event."""
        self.queue, self.history = Queue(), History()
        if self._steps is not None:
            self._steps.close()
        self.execution = self._steps = self._step_ms = None
        self._timers = []
        self.is_paused, self._remaining_ms = False, 0
        self.machine.interrupt = self._free_memory = self._unload_models = False
        self.machine.cache.clear()
