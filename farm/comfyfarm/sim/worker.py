"""What runs an instance's jobs, one after another, a step at a time."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Generator
from dataclasses import dataclass, field

from comfyfarm.events import Finished, Paused, Resumed, Taken
from comfyfarm.faults.fault import Firing
from comfyfarm.faults.pauses import Hold, Pause, Sleep
from comfyfarm.sim.execution import Execution
from comfyfarm.sim.jobs.history import History, HistoryEntry
from comfyfarm.sim.jobs.queue import Job, Queue
from comfyfarm.sim.machine import Machine


@dataclass(eq=False, kw_only=True)
class Worker:
    """Takes job after job from the queue, and leaves what became of each in history.

    Whoever holds it calls :meth:`advance` whenever :attr:`due_ms` has come.

    :ivar fire_process: called where a fault strikes the process at a phase of a job.
    :ivar execution: of the job that runs, or ``None``.
    :ivar is_paused: it takes no further step.
    """

    machine: Machine
    fire_process: Callable[[Firing], None]
    queue: Queue = field(default_factory=Queue)
    history: History = field(default_factory=History)
    execution: Execution | None = None
    is_paused: bool = False
    _step_ms: int | None = None
    _stood_ms: int | None = None
    _left_ms: int = 0
    _free_memory: bool = False
    _unload_models: bool = False
    _resting: Hold | None = None
    _steps: Generator[Pause, None, None] | None = None
    _later: list[tuple[int, int, Callable[[], None]]] = field(default_factory=list)
    _later_count: int = 0

    @property
    def due_ms(self) -> int | None:
        """When it wants to be woken, or ``None`` while there is nothing to do."""
        if self._stood_ms is not None:
            return None
        if not self._later:
            return self._step_ms
        later_ms = self._later[0][0]
        return later_ms if self._step_ms is None else min(self._step_ms, later_ms)

    def advance(self, now_ms: int) -> None:
        """Let happen, in order, all that is due; each thing at its own moment."""
        while (due_ms := self.due_ms) is not None and due_ms <= now_ms:
            self.machine.at_ms = due_ms
            if self._later and self._later[0][0] == due_ms:
                heapq.heappop(self._later)[-1]()
            else:
                self._take_step()

    def _take_step(self) -> None:
        try:
            if self._steps is None:
                self._begin()
            self.machine.waiting = len(self.queue.pending)
            self._resume()
        except BaseException:
            self._give_up()
            raise

    def later(self, after_ms: int, act: Callable[[], None]) -> None:
        """Let something happen so many milliseconds from the moment of the present step, unless all is forgotten."""
        self._later_count += 1
        heapq.heappush(self._later, (self.machine.at_ms + after_ms, self._later_count, act))

    def _begin(self) -> None:
        job = self.queue.take()
        self.machine.interrupt = False
        self._keep_temp_prefixes(job)
        taken = Taken(
            at_ms=self.machine.at_ms,
            prompt_id=job.prompt_id,
            job=job.name,
            ordinal=job.order + 1,
            client_id=job.client_id,
            queue_remaining=self.queue.remaining,
        )
        self.machine.publish(taken)
        self.execution = Execution(job, self.machine, self.later)
        self._steps = self._work(self.execution)

    def _work(self, execution: Execution) -> Generator[Pause, None, None]:
        try:
            yield from execution.run()
            yield from execution.fire_faults("history")
        finally:
            execution.release()
        self._end(execution)

    def _keep_temp_prefixes(self, job: Job) -> None:
        """A preview's letters live as long as ComfyUI keeps the node's object: while jobs in a row have the node."""
        kept = job.prompt if self.machine.cache.is_on else {}
        self.machine.namer.keep_temp_prefixes({node: str(each.get("class_type")) for node, each in kept.items()})

    def _resume(self) -> None:
        assert self._steps is not None
        try:
            pause = next(self._steps)
        except StopIteration:
            self._step_ms = self.machine.at_ms if self.queue.pending else None
            return
        self._resting = pause.hold if isinstance(pause, Sleep) else None
        if isinstance(pause, Firing):
            self._step_ms = self.machine.at_ms      # it goes on, unless the process does not
            self.fire_process(pause)
        elif isinstance(pause, int | Sleep):
            self._step_ms = self.machine.at_ms + (pause.ms if isinstance(pause, Sleep) else pause)
        else:
            self._step_ms = None

    def look_for_work(self) -> None:
        """A job has come into the queue, at the machine's moment."""
        if self._steps is None and self._step_ms is None and not self.is_paused:
            self._step_ms = self._working_ms(self.machine.at_ms)

    def wake(self, now_ms: int) -> None:
        """Something may have changed: a story that pauses until it is woken, or rests no more, goes on."""
        if self._steps is None:
            return
        rests_no_more = self._resting is not None and not self._resting.active
        if self.is_paused:
            self._left_ms = 0 if rests_no_more else self._left_ms
        elif self._step_ms is None or rests_no_more:
            self._step_ms = self._working_ms(now_ms)

    def _working_ms(self, now_ms: int) -> int:
        """The moment as the worker knows it: while it stands still, that at which it came to stand."""
        return now_ms if self._stood_ms is None else self._stood_ms

    @property
    def is_suspended(self) -> bool:
        """Nothing happens here at all, as if no time passed."""
        return self._stood_ms is not None

    def suspend(self, now_ms: int) -> None:
        """Let nothing more happen, of whatever is due, until :meth:`unsuspend`."""
        if self._stood_ms is None:
            self._stood_ms = now_ms

    def unsuspend(self, now_ms: int) -> None:
        """Go on: everything takes as long as it still had to."""
        if self._stood_ms is None:
            return
        stood_ms, self._stood_ms = self._stood_ms, None
        missed_ms = now_ms - stood_ms
        if self._step_ms is not None:
            self._step_ms += missed_ms
        self._later = [(due_ms + missed_ms, count, act) for due_ms, count, act in self._later]

    def _give_up(self) -> None:
        """An error of our own: the job is over, so that the worker is not woken for it for ever."""
        running = self.queue.running
        if running is not None:
            entry = self.execution.entry if self.execution is not None else HistoryEntry(running)
            entry.status_str = "error"
            self.history.add(entry, self.machine.settings.history_limit)
        self._steps = self.execution = self.queue.running = None
        self._step_ms = self.machine.at_ms if self.queue.pending else None

    def _end(self, execution: Execution) -> None:
        """The job is done: its history entry comes to be, and only then do clients hear of the end."""
        entry = execution.entry
        self.history.add(entry, self.machine.settings.history_limit)
        if execution.forget_after_ms is not None:
            self._forget_later(entry, execution.forget_after_ms)
        self._steps = self.execution = self.queue.running = None
        self._give_back()
        self.machine.publish(
            Finished(
                at_ms=self.machine.at_ms,
                prompt_id=entry.job.prompt_id,
                work=execution.work,
                status=entry.status_str,
                queue_remaining=self.queue.remaining,
            )
        )

    def _forget_later(self, entry: HistoryEntry, after_ms: int) -> None:
        """Drop an entry so long after its job's end, unless another has taken its place by then."""

        def forget() -> None:
            if self.history.entries.get(entry.job.prompt_id) is entry:
                del self.history.entries[entry.job.prompt_id]

        if after_ms:
            self.later(after_ms, forget)
        else:
            forget()

    def pause(self, now_ms: int) -> None:
        """Take no further step; clients are answered as before."""
        if not self.is_paused:
            self.is_paused = True
            self._left_ms = max(0, (self._step_ms or 0) - self._working_ms(now_ms)) if self._steps is not None else 0
            self._step_ms = None
            self.machine.publish(Paused(at_ms=now_ms))

    def resume(self, now_ms: int) -> None:
        """Go on: the running step takes as long as it still had to."""
        if self.is_paused:
            self.is_paused = False
            has_work = self._steps is not None or self.queue.pending
            self._step_ms = self._working_ms(now_ms) + self._left_ms if has_work else None
            self.machine.publish(Resumed(at_ms=now_ms))

    def give_back(self, *, unload_models: bool, free_memory: bool) -> None:
        """Give memory back: now, or when the present job is done."""
        self._free_memory = self._free_memory or free_memory
        self._unload_models = self._unload_models or unload_models
        if self._steps is None:
            self._give_back()

    def _give_back(self) -> None:
        if self._free_memory:
            self.machine.cache.clear()
        if self._unload_models:
            self.machine.unload_models("asked")
        self._free_memory = self._unload_models = False

    def forget(self) -> None:
        """Forget queue, running job, history, results and pause, and say nothing."""
        self.queue, self.history = Queue(), History()
        if self._steps is not None:
            self._steps.close()
        self.execution = self._steps = self._step_ms = None
        self._later = []
        self.is_paused, self._left_ms = False, 0
        self.machine.interrupt = self._free_memory = self._unload_models = False
        self.machine.cache.clear()
