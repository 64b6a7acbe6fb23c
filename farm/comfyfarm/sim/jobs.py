"""Jobs, the queue of those that wait or run, and the history of those that ended."""

import heapq
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Any


def workflow_id(extra_data: Mapping[str, Any]) -> Any:
    """Return the id in the workflow that the page sends with a prompt, or ``None`` if there is none."""
    pnginfo = extra_data.get("extra_pnginfo")
    workflow = pnginfo.get("workflow") if isinstance(pnginfo, dict) else None
    return workflow.get("id") if isinstance(workflow, dict) else None


@dataclass(eq=False)
class Job:
    """An accepted prompt.

    :ivar number: its priority; the smallest runs first.
    :ivar extra_data: without the client's secrets since 0.3.68; every client may see it.
    :ivar outputs: the output nodes that will run.
    :ivar name: the logical job, which is the same for all retries.
    :ivar order: number of jobs that this instance had accepted before.
    :ivar has_api_key: the client has sent a key for ComfyUI's API.
    """

    number: float
    prompt_id: str
    prompt: dict[str, Any]
    extra_data: dict[str, Any]
    outputs: list[str]
    name: str
    order: int = 0
    has_api_key: bool = False

    @property
    def item(self) -> list[Any]:
        """The job as ``/queue`` and history show it."""
        return [self.number, self.prompt_id, self.prompt, self.extra_data, self.outputs]

    @property
    def client_id(self) -> Any:
        """The client that receives the messages about the job: any JSON value, ``None`` for none."""
        return self.extra_data.get("client_id")

    @property
    def workflow_metadata(self) -> dict[str, Any] | None:
        """What ComfyUI since 0.39 adds to every message about the job; ``None`` for nothing."""
        found: dict[str, Any] | None = self.extra_data.get("workflow_metadata")
        return found


_Entry = tuple[float, str, int, Job]


@dataclass(eq=False)
class Queue:
    """A binary heap, whose inner order clients see.

    Between jobs that are queued already the comparison must not fail.  ComfyUI's worker thread would end there; ours
    takes such jobs in their order.  Hence the entries, which Python compares without a call of ours.
    """

    running: Job | None = None
    _heap: list[_Entry] = field(default_factory=list)
    _ids: Counter[str] = field(default_factory=Counter)

    @property
    def pending(self) -> list[Job]:
        """The jobs that wait, in the order of the heap's array, which is not the order of execution."""
        return [entry[-1] for entry in self._heap]

    @property
    def in_order(self) -> list[Job]:
        """The jobs that wait, in the order of execution."""
        return [entry[-1] for entry in sorted(self._heap)]

    @property
    def waiting(self) -> int:
        """The number of jobs that wait."""
        return len(self._heap)

    @property
    def remaining(self) -> int:
        """The number of jobs that wait or run."""
        return self.waiting + (self.running is not None)

    def put(self, job: Job) -> None:
        """Add a job that is new.  As in ComfyUI's heap, its whole item is compared with others.

        :raises TypeError: if number and id are those of another and the prompts differ (docs/fidelity.md, "Queue"); it
            is in the queue all the same.
        """
        heap, index = self._heap, self.waiting
        heap.append(self._entry_of(job))
        while index and job.item < heap[parent := (index - 1) // 2][-1].item:
            heap[index], heap[parent] = heap[parent], heap[index]
            index = parent

    def put_again(self, job: Job) -> None:
        """Add a job that was in the queue of an earlier process."""
        heapq.heappush(self._heap, self._entry_of(job))

    def _entry_of(self, job: Job) -> _Entry:
        self._ids[job.prompt_id] += 1
        return job.number, job.prompt_id, job.order, job

    def take(self) -> Job:
        """Make the first job the running one."""
        self.running = heapq.heappop(self._heap)[-1]
        self._forget(self.running)
        return self.running

    def clear(self) -> list[Job]:
        """Remove and return all waiting jobs."""
        removed = self.pending
        self._heap.clear()
        self._ids.clear()
        return removed

    def delete(self, prompt_id: object) -> Job | None:
        """Remove and return the first waiting job of that id; ``None`` if there is none."""
        if not isinstance(prompt_id, str) or prompt_id not in self._ids:
            return None
        index = next(index for index, entry in enumerate(self._heap) if entry[1] == prompt_id)
        job = self._heap.pop(index)[-1]
        heapq.heapify(self._heap)
        self._forget(job)
        return job

    def _forget(self, job: Job) -> None:
        self._ids[job.prompt_id] -= 1
        if not self._ids[job.prompt_id]:
            del self._ids[job.prompt_id]


@dataclass(eq=False)
class HistoryEntry:
    """One job that ended.

    :ivar outputs: by node id, what the node showed.
    :ivar meta: by node id, the ids of the node that produced the output.
    :ivar status_str: ``success`` or ``error``.
    :ivar messages: ``[type, data]`` of the start, the cached nodes and the end.
    """

    job: Job
    outputs: dict[str, Any] = field(default_factory=dict)
    meta: dict[str, Any] = field(default_factory=dict)
    status_str: str = "success"
    messages: list[list[Any]] = field(default_factory=list)

    @property
    def status(self) -> dict[str, Any]:
        completed = self.status_str == "success"
        return {"status_str": self.status_str, "completed": completed, "messages": self.messages}

    def as_json(self) -> dict[str, Any]:
        return {"prompt": self.job.item, "outputs": self.outputs, "status": self.status, "meta": self.meta}


@dataclass(eq=False)
class History:
    """The entries by prompt id, in order of completion; a repeated id keeps its old place."""

    entries: dict[str, HistoryEntry] = field(default_factory=dict)

    def add(self, entry: HistoryEntry, limit: int) -> None:
        """Add an entry, and drop the oldest if there are too many.

        ComfyUI checks before it adds, so that one more than its limit is seen (docs/fidelity.md, "History").
        """
        if len(self.entries) > limit:
            del self.entries[next(iter(self.entries))]
        self.entries[entry.job.prompt_id] = entry

    def window(self, max_items: int | None, offset: int = -1) -> dict[str, Any]:
        """Return at most ``max_items`` entries from ``offset`` on; without an offset the last ones.

        ComfyUI counts after it has added one, so that 0 from 0 is 1 (docs/fidelity.md, "History").
        """
        size = len(self.entries)
        if max_items is not None and offset < 0:
            offset = size - max_items
        start = min(max(0, offset), size)
        stop = size if max_items is None else min(size, start + max(1, max_items))
        return {prompt_id: self.entries[prompt_id].as_json() for prompt_id in self._ids(start, stop)}

    def _ids(self, start: int, stop: int) -> list[str]:
        """Return the ids from one place to another; counted from the end if that is nearer, as most clients want it."""
        size = len(self.entries)
        if start < size // 2:
            return list(islice(self.entries, start, stop))
        return list(islice(reversed(self.entries), size - stop, size - start))[::-1]
