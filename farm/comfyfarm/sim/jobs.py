"""Jobs, the queue of those that wait or run, and the history of those that ended."""

import heapq
import json
from bisect import bisect_left
from collections import OrderedDict
from collections.abc import Collection, Mapping
from dataclasses import InitVar, dataclass, field
from functools import cached_property
from itertools import islice
from typing import Any

import msgspec

from comfyfarm.json_text import encode_text


def workflow_id(extra_data: Mapping[str, Any]) -> Any:
    """Return the id in the workflow that the page sends with a prompt, or ``None`` if there is none."""
    pnginfo = extra_data.get("extra_pnginfo")
    workflow = pnginfo.get("workflow") if isinstance(pnginfo, dict) else None
    return workflow.get("id") if isinstance(workflow, dict) else None


@dataclass(eq=False)
class Job:
    """An accepted prompt.

    A job that waits behind many others is packed: its prompt is text only, until somebody asks for the objects.
    Python's garbage collector would look at all objects of all prompts, for 100 ms if 10,000 wait.

    :ivar number: its priority; the smallest runs first.
    :ivar extra_data: without the client's secrets since 0.3.68; every client may see it.
    :ivar outputs: the output nodes that will run.
    :ivar name: the logical job, which is the same for all retries.
    :ivar order: number of jobs that this instance had accepted before.
    :ivar has_api_key: the client has sent a key for ComfyUI's API.
    """

    number: float
    prompt_id: str
    content: InitVar[dict[str, Any]]
    extra_data: dict[str, Any]
    outputs: list[str]
    name: str
    order: int = 0
    has_api_key: bool = False

    def __post_init__(self, content: dict[str, Any]) -> None:
        self.__dict__["prompt"] = content

    @property
    def item(self) -> list[Any]:
        """The job as ``/queue`` and history show it."""
        return [self.number, self.prompt_id, self.prompt, self.extra_data, self.outputs]

    @cached_property
    def prompt(self) -> dict[str, Any]:
        prompt: dict[str, Any] = json.loads(self.prompt_json)
        return prompt

    def precedes(self, other: "Job") -> bool:
        """Return whether ComfyUI's heap takes its item for the smaller one; most items differ in number or id.

        :raises TypeError: if Python cannot compare the items.
        """
        own, others = (self.number, self.prompt_id), (other.number, other.prompt_id)
        return self.item < other.item if own == others else own < others

    # These two are made once: clients ask for the queue again and again, and each picture holds the prompt.

    @cached_property
    def prompt_json(self) -> str:
        return encode_text(self.prompt)

    @cached_property
    def item_json(self) -> str:
        start, end = encode_text([self.number, self.prompt_id]), encode_text([self.extra_data, self.outputs])
        return f"{start[:-1]}, {self.prompt_json}, {end[1:]}"

    def pack(self) -> None:
        """Keep the text of the prompt only."""
        assert self.prompt_json, "the text has to be made first"
        self.__dict__.pop("prompt", None)

    def hide(self, secrets: Collection[str]) -> None:
        """Remove these keys from the extra data."""
        if not self.extra_data.keys().isdisjoint(secrets):
            for secret in secrets:
                self.extra_data.pop(secret, None)
            self.__dict__.pop("item_json", None)

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

_NOT_PACKED = 100       # jobs of a queue
_LARGE = 1000           # nodes, and what they show


@dataclass(eq=False)
class Queue:
    """A binary heap, whose inner order clients see.

    Between jobs that are queued already the comparison must not fail.  ComfyUI's worker thread would end there; ours
    takes such jobs in their order.  Hence the entries, which Python compares without a call of ours.

    :ivar _by_id: the waiting entries of each id; nearly always one.
    :ivar _is_sorted: the array is in ascending order, as that of a queue to which jobs were only added mostly is; then
        it is still a heap after a deletion, which else has to look at all of it.
    """

    running: Job | None = None
    _heap: list[_Entry] = field(default_factory=list)
    _by_id: dict[str, list[_Entry]] = field(default_factory=dict)
    _is_sorted: bool = True

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
        if index >= _NOT_PACKED:
            job.pack()
        while index and job.precedes(heap[parent := (index - 1) // 2][-1]):
            heap[index], heap[parent] = heap[parent], heap[index]
            index, self._is_sorted = parent, False

    def put_again(self, job: Job) -> None:
        """Add a job that was in the queue of an earlier process."""
        heapq.heappush(self._heap, self._entry_of(job))

    def _entry_of(self, job: Job) -> _Entry:
        entry = job.number, job.prompt_id, job.order, job
        self._by_id.setdefault(job.prompt_id, []).append(entry)
        self._is_sorted = self._is_sorted and (not self._heap or self._heap[-1][:3] < entry[:3])
        return entry

    def take(self) -> Job:
        """Make the first job the running one."""
        entry = heapq.heappop(self._heap)
        self._forget(entry)
        self._is_sorted = self.waiting < 3      # the smallest of two is always the first
        self.running = entry[-1]
        return self.running

    def clear(self) -> list[Job]:
        """Remove and return all waiting jobs."""
        removed = self.pending
        self._heap.clear()
        self._by_id.clear()
        self._is_sorted = True
        return removed

    def delete(self, prompt_id: object) -> Job | None:
        """Remove and return the first waiting job of that id; ``None`` if there is none."""
        found = self._by_id.get(prompt_id) if isinstance(prompt_id, str) else None
        if found is None:
            return None
        if self._is_sorted:
            entry = self._heap.pop(bisect_left(self._heap, min(found)))
        else:
            entry = self._heap.pop(min(map(self._heap.index, found)))
            heapq.heapify(self._heap)
        self._forget(entry)
        return entry[-1]

    def _forget(self, entry: _Entry) -> None:
        waiting = self._by_id[entry[1]]
        waiting.remove(entry)
        if not waiting:
            del self._by_id[entry[1]]


@dataclass(eq=False)
class HistoryEntry:
    """The entry of a job that runs, as far as it has got.

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

    def as_json(self) -> str:
        """Return the entry as ``/history`` shows it."""
        status = {"status_str": self.status_str, "completed": self.status_str == "success", "messages": self.messages}
        more = encode_text({"outputs": self.outputs, "status": status, "meta": self.meta})
        return f'{{"prompt": {self.job.item_json}, {more[1:]}'

    @property
    def is_large(self) -> bool:
        """True if its text would take long to make."""
        shown = sum(len(items) for ui in self.outputs.values() for items in ui.values())
        return len(self.job.prompt) + shown > _LARGE


class EndedJob(msgspec.Struct, eq=False, gc=False):
    """A job in the history.

    It is kept as text, as Python's garbage collector would look at each object of each entry again and again.

    :ivar order: see :class:`Job`.
    :ivar client_id: see :class:`Job`.
    :ivar entry: a large one, until its text is asked for.
    """

    prompt_id: str
    order: int
    client_id: Any
    entry: HistoryEntry | None
    _json: str = ""

    @classmethod
    def of(cls, entry: HistoryEntry) -> "EndedJob":
        """Return what is kept of a job that has ended."""
        job, is_large = entry.job, entry.is_large
        kept, text = (entry, "") if is_large else (None, entry.as_json())
        return cls(job.prompt_id, job.order, job.client_id, kept, text)

    @property
    def json(self) -> str:
        """The entry, as ``/history`` shows it."""
        if self.entry is not None:
            self._json, self.entry = self.entry.as_json(), None
        return self._json

    def content(self) -> dict[str, Any]:
        """Return the entry: ``prompt``, ``outputs``, ``status`` and ``meta``."""
        content: dict[str, Any] = json.loads(self.json)
        return content


@dataclass(eq=False)
class History:
    """The entries by prompt id, in order of completion; a repeated id keeps its old place."""

    # A plain dictionary finds its first key the slower the more first keys were deleted.
    entries: OrderedDict[str, EndedJob] = field(default_factory=OrderedDict)

    def add(self, ended: EndedJob, limit: int) -> None:
        """Add an entry, and drop the oldest if there are too many.

        ComfyUI checks before it adds, so that one more than its limit is seen (docs/fidelity.md, "History").
        """
        if len(self.entries) > limit:
            self.entries.popitem(last=False)
        self.entries[ended.prompt_id] = ended

    def window(self, max_items: int | None, offset: int = -1) -> dict[str, EndedJob]:
        """Return at most ``max_items`` entries from ``offset`` on; without an offset the last ones.

        ComfyUI counts after it has added one, so that 0 from 0 is 1 (docs/fidelity.md, "History").
        """
        count = len(self.entries)
        if max_items is not None and offset < 0:
            offset = count - max_items
        first = max(0, offset)
        last = count if max_items is None else min(count, first + max(1, max_items))
        if first < count - last:
            return dict(islice(self.entries.items(), first, last))
        from_end = islice(reversed(self.entries.items()), count - last, max(0, count - first))
        return dict(reversed(list(from_end)))

    def json(self, entries: Mapping[str, EndedJob]) -> str:
        """Return some of the entries as ``/history`` shows them."""
        shown = (f"{encode_text(prompt_id)}: {entry.json}" for prompt_id, entry in entries.items())
        return f"{{{', '.join(shown)}}}"
