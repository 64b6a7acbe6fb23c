"""The jobs that wait, in ComfyUI's order."""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field
from typing import Any


@dataclass(eq=False)
class Job:
    """A prompt that was taken on.

    :ivar number: its priority; the smallest runs first.
    :ivar extra_data: as every client may see it.
    :ivar outputs: the output nodes that will run.
    :ivar name: the logical job: what the user meant, over all retries.
    :ivar order: how many jobs this instance had taken on before.
    :ivar is_settled: it was put into the queue; only a newcomer fails to be compared.
    """

    number: float
    prompt_id: str
    prompt: dict[str, Any]
    extra_data: dict[str, Any]
    outputs: list[str]
    name: str
    order: int = 0
    is_settled: bool = False

    @property
    def item(self) -> list[Any]:
        """The job as ``/queue`` and history show it."""
        return [self.number, self.prompt_id, self.prompt, self.extra_data, self.outputs]

    @property
    def client_id(self) -> Any:
        """Whoever hears of the job: any JSON value, ``None`` for none."""
        return self.extra_data.get("client_id")

    def __lt__(self, other: Job) -> bool:
        """ComfyUI's heap compares the whole item.

        Among jobs that wait already it must not fail: ComfyUI's worker would end there, ours takes them in order.

        :raises TypeError: where number and id are the same and the prompts differ (docs/fidelity.md, "Queue").
        """
        if self.is_settled and other.is_settled:
            return (self.number, self.prompt_id, self.order) < (other.number, other.prompt_id, other.order)
        return self.item < other.item


@dataclass(eq=False)
class Queue:
    """A binary heap, whose inner order clients see.

    :ivar pending: in the order of the heap's array, which is not the order of execution.
    :ivar running: the job that was taken and is not done.
    """

    pending: list[Job] = field(default_factory=list)
    running: Job | None = None

    @property
    def remaining(self) -> int:
        """How many jobs wait or run."""
        return len(self.pending) + (self.running is not None)

    def put(self, job: Job) -> None:
        """Add a job.

        :raises TypeError: where it cannot be told apart from another; it is in the queue all the same.
        """
        try:
            heapq.heappush(self.pending, job)
        finally:
            job.is_settled = True

    def take(self) -> Job:
        """Make the first job the running one."""
        self.running = heapq.heappop(self.pending)
        return self.running

    def clear(self) -> list[Job]:
        """Remove all that wait."""
        removed, self.pending = self.pending, []
        return removed

    def delete(self, prompt_id: object) -> Job | None:
        """Remove the first waiting job of that id, if there is one."""
        for index, job in enumerate(self.pending):
            if job.prompt_id == prompt_id:
                del self.pending[index]
                heapq.heapify(self.pending)
                return job
        return None
