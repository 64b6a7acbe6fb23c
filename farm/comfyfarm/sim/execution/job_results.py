"""The results of one job's nodes: its own, and those of earlier jobs that the cache has kept."""

from dataclasses import dataclass, field
from typing import Any

from comfyfarm.faults.pauses import Steps
from comfyfarm.sim.cache import Result, result_keys
from comfyfarm.sim.machine import Machine


@dataclass(eq=False)
class JobResults:
    """The results of the nodes of one job.

    :ivar by_node: those that are there so far.
    :ivar keys: the place of each node's result in the cache; empty if the cache is off.
    :ivar cached: the nodes that had a result when the job began.
    """

    machine: Machine
    by_node: dict[str, Result] = field(default_factory=dict)
    keys: dict[str, Any] = field(default_factory=dict)
    cached: frozenset[str] = frozenset()
    _is_room_made: bool = False

    def find_cached(self, prompt: dict[str, Any]) -> Steps:
        """Look up which nodes have a result of an earlier job; a large prompt takes several pauses of no time."""
        cache = self.machine.cache
        if cache.is_on:
            self.keys = yield from result_keys(prompt, self.machine.catalogue)
        if cache.policy == "classic":
            cache.keep_only(self.keys.values())
        for node, key in self.keys.items():
            if (kept := cache.find(key)) is not None:
                self.by_node[node] = kept
        self.cached = frozenset(self.by_node)

    def has(self, node: str) -> bool:
        """Return whether a node has a result: of an earlier job, or of a node of this job that is equal to it."""
        if self.keys and node not in self.cached:
            kept = self.machine.cache.find(self.keys.get(node))
            if kept is not None:
                self.by_node[node] = kept
        return node in self.by_node

    def make_room(self) -> None:
        """Before the first node runs, let policy ``ram`` drop what this job does not need."""
        if not self._is_room_made and self.machine.cache.policy == "ram":      # later results are those of this job
            self.machine.cache.keep_only(self.keys.values())
        self._is_room_made = True

    def add(self, node: str, result: Result) -> None:
        self.by_node[node] = result
        if self.keys:
            self.machine.cache.add(self.keys.get(node), result)

    def value(self, source: str, slot: int) -> Any:
        """Return what a link carries, or ``None`` if there is no such result or slot."""
        result = self.by_node.get(source)
        try:
            return None if result is None else result.values[slot]
        except IndexError:
            return None
