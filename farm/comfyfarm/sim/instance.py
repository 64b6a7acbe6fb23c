"""One simulated ComfyUI: what clients ask of it, and the worker that runs its jobs."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import Any

from comfyfarm.events import (
    Freed,
    HistoryDeleted,
    InterruptAsked,
    PromptRefused,
    QueueCleared,
    QueueDeleted,
    Reset,
    Submitted,
)
from comfyfarm.seeds import new_uuid
from comfyfarm.sim.carried_state import CarriedState
from comfyfarm.sim.errors import PromptRejected, raising_as_comfyui
from comfyfarm.sim.jobs.queue import Job
from comfyfarm.sim.prompt.submission import (
    PromptSource,
    given_number,
    job_name,
    make_extra_data,
    missing_in,
    read_prompt,
    read_prompt_id,
    read_targets,
    require_prompt,
)
from comfyfarm.sim.prompt.validation import validate
from comfyfarm.sim.worker import Worker


@dataclass(frozen=True)
class PromptAccepted:
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


@dataclass(eq=False, kw_only=True)
class Instance(Worker):
    """The state of one ComfyUI: its worker, and what clients ask of it.

    Whoever holds it calls :meth:`advance` whenever :attr:`due_ms` has come, and before anything else that is asked
    of it; every question that can change something takes the simulated moment as its last argument.

    :ivar ids: where prompt ids come from.
    :ivar accepted: how many jobs were taken on, in the epochs before this one too.
    """

    ids: Random
    accepted: int = 0
    _number: int = 0

    def submit(self, body: Any, sender: PromptSource, now_ms: int) -> PromptAccepted:
        """Take the body of a ``POST /prompt`` on.

        :raises Refused: where ComfyUI answers 400.
        :raises ServerError: where ComfyUI's own code raises on such a body.
        """
        self.machine.at_ms = now_ms
        try:
            with raising_as_comfyui():
                return self._submit(body, sender)
        except PromptRejected as refusal:
            self._refused(body, sender, refusal)
            raise

    def _submit(self, body: Any, sender: PromptSource) -> PromptAccepted:
        number = given_number(body)
        if number is None:
            number = self._next_number(front="front" in body and body["front"])
        require_prompt(body)
        prompt_id = read_prompt_id(body) or str(new_uuid(self.ids))
        prompt = read_prompt(body)
        name = job_name(body, sender)
        verdict = validate(prompt, read_targets(body), self.machine.catalogue)
        extra_data = make_extra_data(body, sender, self.machine.now_unix_ms)
        job = Job(number, prompt_id, prompt, extra_data, list(verdict.outputs), name, self.accepted)
        self._put(job, is_load=sender.is_load)
        return PromptAccepted(prompt_id, number, verdict.node_errors, name)

    def _next_number(self, *, front: bool) -> int:
        """The server's counter, which every readable body moves on, refused or not."""
        number = -self._number if front else self._number
        self._number += 1
        return number

    def _put(self, job: Job, *, is_load: bool) -> None:
        """Queue a job, and say so even where ComfyUI's heap cannot compare it (docs/fidelity.md, "Queue")."""
        self.accepted += 1
        try:
            self.queue.put(job)
        finally:
            self.look_for_work()
            self.machine.publish(
                Submitted(
                    at_ms=self.machine.at_ms,
                    prompt_id=job.prompt_id,
                    number=job.number,
                    job=job.name,
                    client_id=job.client_id,
                    outputs=tuple(job.outputs),
                    queue_remaining=self.queue.remaining,
                    is_load=is_load,
                )
            )

    def _refused(self, body: Any, sender: PromptSource, refusal: PromptRejected) -> None:
        known = body if isinstance(body, dict) else {}
        refused = PromptRefused(
            at_ms=self.machine.at_ms,
            error=refusal.body["error"]["type"],
            missing=missing_in(refusal.body),
            job=job_name(known, sender),
            client_id=known.get("client_id"),
            is_load=sender.is_load,
        )
        self.machine.publish(refused)

    def clear_queue(self, now_ms: int) -> None:
        """Remove all waiting jobs."""
        ids = tuple(job.prompt_id for job in self.queue.clear())
        self.machine.publish(QueueCleared(at_ms=now_ms, prompt_ids=ids, queue_remaining=self.queue.remaining))

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
            self.machine.publish(deleted)

    def interrupt(self, prompt_id: str | None, now_ms: int, job: str = "") -> None:
        """Stop the running job where it looks next; with an id, only if it is that one.

        :param job: the logical job that the client means, where it says so; ComfyUI would not ask.
        """
        running = self.queue.running
        hit = running if prompt_id is None or (running and running.prompt_id == prompt_id) else None
        if prompt_id is None or hit is not None:
            self.machine.interrupt = True
        asked = InterruptAsked(at_ms=now_ms, prompt_id=prompt_id, hit=hit.prompt_id if hit else None, job=job)
        self.machine.publish(asked)

    def free(self, *, unload_models: bool, free_memory: bool, now_ms: int) -> None:
        """Give memory back: now, or when the present job is done."""
        self.machine.at_ms = now_ms
        self.give_back(unload_models=unload_models, free_memory=free_memory)
        self.machine.publish(Freed(at_ms=now_ms, unload_models=unload_models, free_memory=free_memory))

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
            self.machine.publish(HistoryDeleted(at_ms=now_ms, prompt_ids=tuple(known)))

    def reset(self, *, files: bool, now_ms: int) -> None:
        """Forget queue, running job, history, results and pause, as between two tests; ids and numbers go on."""
        self.machine.at_ms = now_ms
        self.forget()
        self.machine.warm_up()
        if files:
            self.machine.namer.forget()
        self.machine.publish(Reset(at_ms=now_ms, files=files))

    def job_before(self, client_id: str, prompt_id: str | None) -> str | None:
        """The id of the client's job that ended last, other than this one; ``None`` where history has none."""
        jobs = [entry.job for entry in self.history.entries.values()]
        return next(
            (job.prompt_id for job in reversed(jobs) if job.client_id == client_id and job.prompt_id != prompt_id), None
        )

    # From one process to the next.

    @property
    def carried_state(self) -> CarriedState:
        """All that could be left to another process."""
        models = tuple(self.machine.memory.loaded)
        return CarriedState(CarriedState.jobs_of(self.queue), self._number, self.accepted, self.history, models)

    def inherit(self, carried_state: CarriedState, now_ms: int) -> None:
        """Take over what an older process has left; its jobs are not new, so nobody is told."""
        self.machine.at_ms = now_ms
        self.history.entries = {**carried_state.history.entries, **self.history.entries}
        self._number = max(self._number, carried_state.number)
        for job in carried_state.jobs:
            self.queue.put(job)
        if carried_state.jobs:
            self.look_for_work()
