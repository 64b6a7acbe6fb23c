"""One simulated ComfyUI: what clients ask of it, and the worker that runs its jobs."""

from __future__ import annotations

from collections.abc import Iterator
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
from .history import Entry, History
from .machine import Machine
from .queue import Job, Queue
from .seeds import new_uuid
from .submission import (
    Sender,
    given_number,
    job_name,
    make_extra_data,
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
    """

    prompt_id: str
    number: float
    node_errors: dict[str, Any]

    def as_json(self) -> dict[str, Any]:
        """The body of the answer."""
        return {"prompt_id": self.prompt_id, "number": self.number, "node_errors": self.node_errors}


@dataclass(eq=False)
class Instance:
    """The state of one ComfyUI.

    Whoever holds it calls :meth:`advance` whenever :attr:`due_ms` has come, and before anything else that is asked
    of it; every question that can change something takes the simulated moment as its last argument.

    :ivar ids: where prompt ids come from.
    :ivar due_ms: when it wants to be woken, or ``None`` while there is nothing to do.
    :ivar is_paused: the worker takes no further step.
    """

    machine: Machine
    ids: Random
    queue: Queue = field(default_factory=Queue)
    history: History = field(default_factory=History)
    execution: Execution | None = None
    due_ms: int | None = None
    is_paused: bool = False
    _left_ms: int = 0
    _number: int = 0
    _accepted: int = 0
    _free_memory: bool = False
    _unload_models: bool = False
    _story: Iterator[int] | None = None

    # The worker.

    def advance(self, now_ms: int) -> None:
        """Let happen, in order, all that is due; each thing at its own moment."""
        while self.due_ms is not None and self.due_ms <= now_ms:
            self.machine.at_ms = self.due_ms
            try:
                if self._story is None:
                    self._begin()
                self.machine.waiting = len(self.queue.pending)
                self._go_on()
            except BaseException:
                self._give_up()
                raise

    def _begin(self) -> None:
        job = self.queue.take()
        self.machine.interrupt = False
        self._keep_temp_prefixes(job)
        taken = Taken(
            at_ms=self.machine.at_ms,
            prompt_id=job.prompt_id,
            client_id=job.client_id,
            queue_remaining=self.queue.remaining,
        )
        self.machine.tell(taken)
        self.execution = Execution(job, self.machine)
        self._story = self.execution.run()

    def _keep_temp_prefixes(self, job: Job) -> None:
        """A preview's letters live as long as ComfyUI keeps the node's object: while jobs in a row have the node."""
        kept = job.prompt if self.machine.cache.is_on else {}
        self.machine.namer.keep_temp_prefixes({node: str(each.get("class_type")) for node, each in kept.items()})

    def _go_on(self) -> None:
        assert self._story is not None
        wait_ms = next(self._story, None)
        if wait_ms is not None:
            self.due_ms = self.machine.at_ms + wait_ms
            return
        self._end()
        self.due_ms = self.machine.at_ms if self.queue.pending else None

    def _give_up(self) -> None:
        """An error of our own: the job is over, so that the worker is not woken for it for ever."""
        running = self.queue.running
        if running is not None:
            entry = self.execution.entry if self.execution is not None else Entry(running)
            entry.status_str = "error"
            self.history.add(entry, self.machine.settings.history_limit)
        self._story = self.execution = self.queue.running = None
        self.due_ms = self.machine.at_ms if self.queue.pending else None

    def _end(self) -> None:
        """The job is done: its history entry comes to be, and only then do clients hear of the end."""
        assert self.execution is not None
        entry = self.execution.entry
        self.history.add(entry, self.machine.settings.history_limit)
        self._story = self.execution = self.queue.running = None
        self._give_back()
        self.machine.tell(
            Finished(
                at_ms=self.machine.at_ms,
                prompt_id=entry.job.prompt_id,
                status=entry.status_str,
                queue_remaining=self.queue.remaining,
            )
        )

    def pause(self, now_ms: int) -> None:
        """Take no further step; clients are answered as before."""
        if not self.is_paused:
            self.is_paused = True
            self._left_ms = max(0, (self.due_ms or 0) - now_ms) if self._story is not None else 0
            self.due_ms = None
            self.machine.tell(Paused(at_ms=now_ms))

    def resume(self, now_ms: int) -> None:
        """Go on: the running step takes as long as it still had to."""
        if self.is_paused:
            self.is_paused = False
            has_work = self._story is not None or self.queue.pending
            self.due_ms = now_ms + self._left_ms if has_work else None
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
        self._put(Job(number, prompt_id, prompt, extra_data, list(verdict.outputs), name, self._accepted))
        return Acceptance(prompt_id, number, verdict.node_errors)

    def _next_number(self, *, front: bool) -> int:
        """The server's counter, which every readable body moves on, refused or not."""
        number = -self._number if front else self._number
        self._number += 1
        return number

    def _put(self, job: Job) -> None:
        """Queue a job, and say so even where ComfyUI's heap cannot compare it (docs/fidelity.md, "Queue")."""
        self._accepted += 1
        try:
            self.queue.put(job)
        finally:
            if self.due_ms is None and not self.is_paused:
                self.due_ms = self.machine.at_ms
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

    def interrupt(self, prompt_id: str | None, now_ms: int) -> None:
        """Stop the running job where it looks next; with an id, only if it is that one."""
        running = self.queue.running
        hit = running if prompt_id is None or (running and running.prompt_id == prompt_id) else None
        if prompt_id is None or hit is not None:
            self.machine.interrupt = True
        asked = InterruptAsked(at_ms=now_ms, prompt_id=prompt_id, hit=hit.prompt_id if hit else None)
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
        self.execution = self._story = self.due_ms = None
        self.is_paused, self._left_ms = False, 0
        self.machine.interrupt = self._free_memory = self._unload_models = False
        self.machine.cache.clear()
