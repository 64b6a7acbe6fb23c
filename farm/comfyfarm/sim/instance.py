"""One simulated ComfyUI: the requests that change its state, and the worker that runs its jobs."""

from collections.abc import Collection, Generator
from dataclasses import dataclass, field
from random import Random
from typing import Any

import msgspec

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
from comfyfarm.sim.errors import RAISED_BY_COMFYUI, PromptRejected, as_server_error
from comfyfarm.sim.jobs import History, Job
from comfyfarm.sim.memory import ModelFile
from comfyfarm.sim.prompt.job_names import JobNames
from comfyfarm.sim.prompt.submission import (
    PromptSource,
    check_extra_data,
    has_api_key,
    make_extra_data,
    missing_in,
    read_prompt,
    read_prompt_id,
    read_targets,
)
from comfyfarm.sim.prompt.validation import EarlyValidation, ValidationResult, validate, validate_in_steps
from comfyfarm.sim.worker import Worker


class PromptAccepted(msgspec.Struct, frozen=True):
    """The result of an accepted prompt.

    :ivar node_errors: the errors of the outputs that will not run; empty if all will.
    :ivar job: the logical job; not sent to the client.
    """

    prompt_id: str
    number: float
    node_errors: dict[str, Any]
    job: str

    def as_json(self) -> dict[str, Any]:
        return {"prompt_id": self.prompt_id, "number": self.number, "node_errors": self.node_errors}


@dataclass(frozen=True)
class CarriedState:
    """The state that one process leaves to the next; a real ComfyUI leaves nothing.

    :ivar jobs: those that ran or waited, in the order of execution; all of them wait again.
    :ivar number: the server's counter of prompts.
    :ivar accepted: number of jobs that the instance has accepted in all its epochs; always kept.
    :ivar models: those in memory, least recently used first; ``None`` if memory is lost.
    """

    jobs: tuple[Job, ...] = ()
    number: int = 0
    accepted: int = 0
    history: History = field(default_factory=History)
    models: tuple[ModelFile, ...] | None = None

    def keeping(self, keep: Collection[str]) -> "CarriedState":
        """Return this state reduced to the named parts: ``queue``, ``history``, ``models``."""
        return CarriedState(
            jobs=self.jobs if "queue" in keep else (),
            number=self.number if "queue" in keep else 0,
            accepted=self.accepted,
            history=self.history if "history" in keep else History(),
            models=self.models if "models" in keep else None,
        )


@dataclass(eq=False, kw_only=True)
class Instance(Worker):
    """The state of one ComfyUI.

    The owner calls :meth:`advance` whenever :attr:`due_ms` is reached, and before it calls any other method.  Methods
    that may change something take the simulated time as their last argument.

    :ivar ids: the random stream of prompt ids.
    :ivar accepted: number of jobs accepted so far, in earlier epochs too.
    :ivar names: those of the logical jobs, for the whole farm.
    """

    ids: Random
    accepted: int = 0
    names: JobNames = field(default_factory=JobNames)
    _number: int = 0

    def submit(self, body: Any, sender: PromptSource, now_ms: int) -> PromptAccepted:
        """Queue the job of a ``POST /prompt`` body.

        :raises PromptRejected: if ComfyUI answers 400.
        :raises ServerError: if ComfyUI's own code raises on such a body.
        """
        self.machine.at_ms = now_ms
        fields = body if isinstance(body, dict) else {}
        name = self.names.of(fields, sender)    # before validation converts what the prompt says
        try:
            return self._submit(body, sender, name)
        except PromptRejected as error:
            error.job = name
            self.machine.publish(
                PromptRefused(
                    at_ms=now_ms,
                    error=error.body["error"]["type"],
                    missing=missing_in(error.body),
                    job=name,
                    client_id=fields.get("client_id"),
                    is_load=sender.is_load,
                )
            )
            raise
        except RAISED_BY_COMFYUI as error:
            raise as_server_error(error, name) from error

    def validate_early(self, body: Any) -> Generator[None, None, EarlyValidation]:
        """Validate the prompt of a large body in steps, before it is submitted."""
        behaviour, catalogue = self.machine.behaviour, self.machine.catalogue
        outcome: ValidationResult | Exception
        try:
            prompt, targets = read_prompt(body, behaviour), read_targets(body, behaviour)
            outcome = yield from validate_in_steps(prompt, targets, catalogue)
        except (PromptRejected, *RAISED_BY_COMFYUI) as error:
            outcome = error
        return EarlyValidation(catalogue, outcome)

    def _submit(self, body: Any, sender: PromptSource, name: str) -> PromptAccepted:
        if "number" in body:
            number = float(body["number"])
        else:
            front = "front" in body and body["front"]       # the body may be a list
            number = -self._number if front else self._number
            self._number += 1       # also for a body that is rejected below
        behaviour = self.machine.behaviour
        if "prompt" not in body:
            raise PromptRejected.because("no_prompt", "No prompt provided", "No prompt provided")
        prompt_id = read_prompt_id(body, behaviour)
        if prompt_id is None:
            prompt_id = str(new_uuid(self.ids))
        check_extra_data(body, behaviour)
        prompt = read_prompt(body, behaviour)
        early, catalogue = sender.validation, self.machine.catalogue
        if early is None or early.catalogue is not catalogue:
            result = validate(prompt, read_targets(body, behaviour), catalogue)
        else:
            result = early.result()
        with_key = has_api_key(body)
        extra_data = make_extra_data(body, sender, self.machine.now_unix_ms, behaviour)
        job = Job(number, prompt_id, prompt, extra_data, list(result.outputs), name, self.accepted, with_key)
        self.names.on_accepted(name, sender)
        self._put(job, is_load=sender.is_load)
        return PromptAccepted(prompt_id, number, result.node_errors, name)

    def _put(self, job: Job, *, is_load: bool) -> None:
        self.accepted += 1
        try:
            self.queue.put(job)
        finally:    # the heap may fail to compare the job, which is queued all the same (docs/fidelity.md, "Queue")
            self.on_queued()
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

    def clear_queue(self, now_ms: int) -> None:
        ids = tuple(job.prompt_id for job in self.queue.clear())
        self.machine.publish(QueueCleared(at_ms=now_ms, prompt_ids=ids, queue_remaining=self.queue.remaining))

    def delete_from_queue(self, prompt_id: object, now_ms: int) -> bool:
        """Remove the first waiting job of this id; return whether there was one."""
        job = self.queue.delete(prompt_id)
        if job is not None:
            self.machine.publish(
                QueueDeleted(
                    at_ms=now_ms,
                    prompt_id=job.prompt_id,
                    queue_remaining=self.queue.remaining,
                    last=not self.queue.waiting,
                )
            )
        return job is not None

    def interrupt(self, prompt_id: str | None, now_ms: int, job: str = "", *, is_load: bool = False) -> None:
        """Stop the running job at its next check; with an id, only if it is that job.

        :param job: the logical job that the client means, if it names one; ComfyUI has no such field.
        :param is_load: a scenario sends it.
        """
        running = self.queue.running
        hit = running if prompt_id is None or (running and running.prompt_id == prompt_id) else None
        if prompt_id is None or hit is not None:
            self.machine.interrupt = True
        hit_id = hit.prompt_id if hit else None
        event = InterruptAsked(at_ms=now_ms, prompt_id=prompt_id, hit=hit_id, job=job, is_load=is_load)
        self.machine.publish(event)

    def free(self, *, unload_models: bool, free_memory: bool, now_ms: int) -> None:
        """Free memory now, or at the end of the running job."""
        self.machine.at_ms = now_ms
        self.free_when_idle(unload_models=unload_models, free_memory=free_memory)
        self.machine.publish(Freed(at_ms=now_ms, unload_models=unload_models, free_memory=free_memory))

    def clear_history(self, now_ms: int) -> None:
        self.delete_history(list(self.history.entries), now_ms)

    def delete_history(self, prompt_ids: list[Any], now_ms: int) -> None:
        """Delete the entries of these ids; unknown ids are ignored.

        :raises TypeError: at a value that cannot be an id; the entries before it are deleted and published.
        """
        deleted: list[str] = []
        try:
            for prompt_id in prompt_ids:
                if self.history.entries.pop(prompt_id, None) is not None:
                    deleted.append(prompt_id)  # noqa: PERF401 (the deletions before an error are published)
        finally:
            self.machine.publish(HistoryDeleted(at_ms=now_ms, prompt_ids=tuple(deleted)))

    def reset(self, *, files: bool, now_ms: int) -> None:
        """Drop queue, running job, history, results and pause, as between two tests; ids and numbers go on."""
        self.machine.at_ms = now_ms
        self.forget()
        self.machine.warm_up()
        if files:
            self.machine.namer.forget()
        self.machine.publish(Reset(at_ms=now_ms, files=files))

    def job_before(self, client_id: str, prompt_id: str | None) -> str | None:
        """Return the id of the client's last ended job other than this one; ``None`` if history has none."""
        latest_first = reversed(self.history.entries.values())
        return next(
            (job.prompt_id for job in latest_first if job.client_id == client_id and job.prompt_id != prompt_id), None
        )

    @property
    def carried_state(self) -> CarriedState:
        """Everything that another process can take over."""
        running = () if self.queue.running is None else (self.queue.running,)
        jobs = (*running, *self.queue.in_order)
        return CarriedState(jobs, self._number, self.accepted, self.history, tuple(self.machine.memory.loaded))

    def inherit(self, carried_state: CarriedState, now_ms: int) -> None:
        """Take over the state of an earlier process; its jobs are not new, so no event is published."""
        self.machine.at_ms = now_ms
        self.history.entries = carried_state.history.entries | self.history.entries
        self._number = max(self._number, carried_state.number)
        for job in carried_state.jobs:
            self.queue.put_again(job)
        if carried_state.jobs:
            self.on_queued()
