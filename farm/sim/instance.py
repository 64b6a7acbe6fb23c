"""One simulated ComfyUI: what clients ask of it, and the worker that runs its jobs."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from random import Random
from typing import Any

from .errors import Refused, raising_as_comfyui
from .events import (
    Finished,
    Freed,
    HistoryDeleted,
    InterruptAsked,
    Paused,
    PromptRefused,
    QueueCleared,
    QueueDeleted,
    Reset,
    Resumed,
    Submitted,
    Taken,
)
from .execution import Execution
from .faults.strikes import UNTIL_WOKEN, Pause, Strike
from .history import Entry, History
from .legacy import Legacy
from .machine import Machine
from .queue import Job, Queue
from .seeds import new_uuid
from .submission import (
    Sender,
    given_number,
    job_name,
    make_extra_data,
    missing_in,
    read_prompt,
    read_prompt_id,
    read_targets,
    require_prompt,
)
from .validation import validate

__all__ = ["Acceptance", "Instance"]


@dataclass(frozen=True)
class Acceptance:
    """The answer to an accepted prompt.

    :ivar node_errors: what is wrong with the outputs that will not run; empty when all will.
    :ivar job: the logical job, which the client is not told.
    """

    prompt_id: str
    number: float
    node_errors: dict[str, Any]
    job: str

    def as_json(self) -> dict[str, Any]:
        """The body of the answer."""
        return {"prompt_id": self.prompt_id, "number": self.number, "node_errors": self.node_errors}


@dataclass(eq=False)
class Instance:
    """The state of one ComfyUI.

    Whoever holds it calls :meth:`advance` whenever :attr:`due_ms` has come, and before anything else that is asked
    of it; every question that can change something takes the simulated moment as its last argument.

    :ivar ids: where prompt ids come from.
    :ivar strike_process: called where a fault strikes the process at a phase of a job.
    :ivar is_paused: the worker takes no further step.
    :ivar accepted: how many jobs were taken on, in the epochs before this one too.
    """

    machine: Machine
    ids: Random
    strike_process: Callable[[Strike], None]
    queue: Queue = field(default_factory=Queue)
    history: History = field(default_factory=History)
    execution: Execution | None = None
    is_paused: bool = False
    accepted: int = 0
    _step_ms: int | None = None
    _stood_ms: int | None = None
    _left_ms: int = 0
    _number: int = 0
    _free_memory: bool = False
    _unload_models: bool = False
    _story: Generator[Pause, None, None] | None = None
    _later: list[tuple[int, int, Callable[[], None]]] = field(default_factory=list)
    _later_count: int = 0

    @property
    def due_ms(self) -> int | None:
        """When it wants to be woken, or ``None`` while there is nothing to do."""
        if self._stood_ms is not None:
            return None
        due = [each for each in (self._step_ms, self._later[0][0] if self._later else None) if each is not None]
        return min(due, default=None)

    # The worker.

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
            if self._story is None:
                self._begin()
            self.machine.waiting = len(self.queue.pending)
            self._go_on()
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
        self.machine.tell(taken)
        self.execution = Execution(job, self.machine, self.later)
        self._story = self._work(self.execution)

    def _work(self, execution: Execution) -> Generator[Pause, None, None]:
        try:
            yield from execution.run()
            yield from execution.struck("history")
        finally:
            execution.let_go()
        self._end(execution)

    def _keep_temp_prefixes(self, job: Job) -> None:
        """A preview's letters live as long as ComfyUI keeps the node's object: while jobs in a row have the node."""
        kept = job.prompt if self.machine.cache.is_on else {}
        self.machine.namer.keep_temp_prefixes({node: str(each.get("class_type")) for node, each in kept.items()})

    def _go_on(self) -> None:
        assert self._story is not None
        try:
            pause = next(self._story)
        except StopIteration:
            self._step_ms = self.machine.at_ms if self.queue.pending else None
            return
        if isinstance(pause, Strike):
            self._step_ms = self.machine.at_ms      # it goes on, unless the process does not
            self.strike_process(pause)
        else:
            self._step_ms = None if pause is UNTIL_WOKEN else self.machine.at_ms + pause

    def wake(self, now_ms: int) -> None:
        """Something may have changed: a story that pauses until it is woken looks again."""
        if self._story is not None and self._step_ms is None and not self.is_paused:
            self._step_ms = self._working_ms(now_ms)

    def _working_ms(self, now_ms: int) -> int:
        """The moment as the worker knows it: while it stands still, that at which it came to stand."""
        return now_ms if self._stood_ms is None else self._stood_ms

    @property
    def stands_still(self) -> bool:
        """Nothing happens here at all, as if no time passed."""
        return self._stood_ms is not None

    def stand_still(self, now_ms: int) -> None:
        """Let nothing more happen, of whatever is due, until :meth:`move_on`."""
        if self._stood_ms is None:
            self._stood_ms = now_ms

    def move_on(self, now_ms: int) -> None:
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
            entry = self.execution.entry if self.execution is not None else Entry(running)
            entry.status_str = "error"
            self.history.add(entry, self.machine.settings.history_limit)
        self._story = self.execution = self.queue.running = None
        self._step_ms = self.machine.at_ms if self.queue.pending else None

    def _end(self, execution: Execution) -> None:
        """The job is done: its history entry comes to be, and only then do clients hear of the end."""
        entry = execution.entry
        self.history.add(entry, self.machine.settings.history_limit)
        if execution.forget_after_ms is not None:
            self._forget_later(entry, execution.forget_after_ms)
        self._story = self.execution = self.queue.running = None
        self._give_back()
        self.machine.tell(
            Finished(
                at_ms=self.machine.at_ms,
                prompt_id=entry.job.prompt_id,
                work=execution.work,
                status=entry.status_str,
                queue_remaining=self.queue.remaining,
            )
        )

    def job_before(self, client_id: str, prompt_id: str | None) -> str | None:
        """The id of the client's job that ended last, other than this one; ``None`` where history has none."""
        jobs = [entry.job for entry in self.history.entries.values()]
        return next(
            (job.prompt_id for job in reversed(jobs) if job.client_id == client_id and job.prompt_id != prompt_id), None
        )

    def _forget_later(self, entry: Entry, after_ms: int) -> None:
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
            self._left_ms = max(0, (self._step_ms or 0) - self._working_ms(now_ms)) if self._story is not None else 0
            self._step_ms = None
            self.machine.tell(Paused(at_ms=now_ms))

    def resume(self, now_ms: int) -> None:
        """Go on: the running step takes as long as it still had to."""
        if self.is_paused:
            self.is_paused = False
            has_work = self._story is not None or self.queue.pending
            self._step_ms = self._working_ms(now_ms) + self._left_ms if has_work else None
            self.machine.tell(Resumed(at_ms=now_ms))

    # What clients ask.

    def submit(self, body: Any, sender: Sender, now_ms: int) -> Acceptance:
        """Take the body of a ``POST /prompt`` on.

        :raises Refused: where ComfyUI answers 400.
        :raises ServerError: where ComfyUI's own code raises on such a body.
        """
        self.machine.at_ms = now_ms
        try:
            with raising_as_comfyui():
                return self._submit(body, sender)
        except Refused as refusal:
            self._refused(body, sender, refusal)
            raise

    def _submit(self, body: Any, sender: Sender) -> Acceptance:
        number = given_number(body)
        if number is None:
            number = self._next_number(front="front" in body and body["front"])
        require_prompt(body)
        prompt_id = read_prompt_id(body) or str(new_uuid(self.ids))
        prompt = read_prompt(body)
        name = job_name(body, sender)
        verdict = validate(prompt, read_targets(body), self.machine.catalogue)
        extra_data = make_extra_data(body, sender, self.machine.now_unix_ms)
        self._put(Job(number, prompt_id, prompt, extra_data, list(verdict.outputs), name, self.accepted))
        return Acceptance(prompt_id, number, verdict.node_errors, name)

    def _next_number(self, *, front: bool) -> int:
        """The server's counter, which every readable body moves on, refused or not."""
        number = -self._number if front else self._number
        self._number += 1
        return number

    def _put(self, job: Job) -> None:
        """Queue a job, and say so even where ComfyUI's heap cannot compare it (docs/fidelity.md, "Queue")."""
        self.accepted += 1
        try:
            self.queue.put(job)
        finally:
            if self._step_ms is None and self._story is None and not self.is_paused:
                self._step_ms = self._working_ms(self.machine.at_ms)
            self.machine.tell(
                Submitted(
                    at_ms=self.machine.at_ms,
                    prompt_id=job.prompt_id,
                    number=job.number,
                    job=job.name,
                    client_id=job.client_id,
                    outputs=tuple(job.outputs),
                    queue_remaining=self.queue.remaining,
                )
            )

    def _refused(self, body: Any, sender: Sender, refusal: Refused) -> None:
        known = body if isinstance(body, dict) else {}
        refused = PromptRefused(
            at_ms=self.machine.at_ms,
            error=refusal.body["error"]["type"],
            missing=missing_in(refusal.body),
            job=job_name(known, sender),
            client_id=known.get("client_id"),
        )
        self.machine.tell(refused)

    def clear_queue(self, now_ms: int) -> None:
        """Remove all waiting jobs."""
        ids = tuple(job.prompt_id for job in self.queue.clear())
        self.machine.tell(QueueCleared(at_ms=now_ms, prompt_ids=ids, queue_remaining=self.queue.remaining))

    def delete_from_queue(self, prompt_id: object, now_ms: int) -> None:
        """Remove one waiting job; nothing where there is none of that id."""
        job = self.queue.delete(prompt_id)
        if job is not None:
            deleted = QueueDeleted(
                at_ms=now_ms,
                prompt_id=job.prompt_id,
                queue_remaining=self.queue.remaining,
                last=not self.queue.pending,
            )
            self.machine.tell(deleted)

    def interrupt(self, prompt_id: str | None, now_ms: int, job: str = "") -> None:
        """Stop the running job where it looks next; with an id, only if it is that one.

        :param job: the logical job that the client means, where it says so; ComfyUI would not ask.
        """
        running = self.queue.running
        hit = running if prompt_id is None or (running and running.prompt_id == prompt_id) else None
        if prompt_id is None or hit is not None:
            self.machine.interrupt = True
        asked = InterruptAsked(at_ms=now_ms, prompt_id=prompt_id, hit=hit.prompt_id if hit else None, job=job)
        self.machine.tell(asked)

    def free(self, *, unload_models: bool, free_memory: bool, now_ms: int) -> None:
        """Give memory back: now, or when the present job is done."""
        self._free_memory = self._free_memory or free_memory
        self._unload_models = self._unload_models or unload_models
        self.machine.at_ms = now_ms
        if self._story is None:
            self._give_back()
        self.machine.tell(Freed(at_ms=now_ms, unload_models=unload_models, free_memory=free_memory))

    def _give_back(self) -> None:
        if self._free_memory:
            self.machine.cache.clear()
        if self._unload_models:
            self.machine.unload_models("asked")
        self._free_memory = self._unload_models = False

    def clear_history(self, now_ms: int) -> None:
        """Forget all that ended."""
        self.delete_history(list(self.history.entries), now_ms)

    def delete_history(self, prompt_ids: list[Any], now_ms: int) -> None:
        """Forget these, where they are known.

        :raises TypeError: at one that cannot be an id; those before it are forgotten.
        """
        known: list[str] = []
        try:
            for each in prompt_ids:
                if self.history.entries.pop(each, None) is not None:
                    known.append(each)  # noqa: PERF401 (what is done is told, also where the next one raises)
        finally:
            self.machine.tell(HistoryDeleted(at_ms=now_ms, prompt_ids=tuple(known)))

    def reset(self, *, files: bool, now_ms: int) -> None:
        """Forget queue, running job, history, results and pause, as between two tests; ids and numbers go on."""
        self.machine.at_ms = now_ms
        self.forget()
        self.machine.warm_up()
        if files:
            self.machine.namer.forget()
        self.machine.tell(Reset(at_ms=now_ms, files=files))

    def forget(self) -> None:
        """Forget queue, running job, history, results and pause, and say nothing."""
        self.queue, self.history = Queue(), History()
        if self._story is not None:
            self._story.close()
        self.execution = self._story = self._step_ms = None
        self._later = []
        self.is_paused, self._left_ms = False, 0
        self.machine.interrupt = self._free_memory = self._unload_models = False
        self.machine.cache.clear()

    # From one process to the next.

    @property
    def legacy(self) -> Legacy:
        """All that could be left to another process."""
        models = tuple(self.machine.memory.loaded)
        return Legacy(Legacy.jobs_of(self.queue), self._number, self.accepted, self.history, models)

    def inherit(self, legacy: Legacy, now_ms: int) -> None:
        """Take over what an older process has left; its jobs are not new, so nobody is told."""
        self.machine.at_ms = now_ms
        self.history.entries = {**legacy.history.entries, **self.history.entries}
        self._number = max(self._number, legacy.number)
        for job in legacy.jobs:
            self.queue.put(job)
        if legacy.jobs and self._story is None and not self.is_paused:
            self._step_ms = self._working_ms(now_ms)
