"""The history: the jobs that ended, and their outputs."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from comfyfarm.sim.jobs.queue import Job


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
        ids = list(self.entries)
        if max_items is not None and offset < 0:
            offset = len(ids) - max_items
        shown = ids[max(0, offset) :]
        if max_items is not None:
            shown = shown[: max(1, max_items)]
        return {prompt_id: self.entries[prompt_id].as_json() for prompt_id in shown}
