"""A prompt as a graph: which node feeds which, and in what order they can run."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from typing import Any

Prompt = Mapping[str, Any]


def is_link(value: object) -> bool:
    """Whether an input's value is a reference to another node's output: ``[node_id, slot]``."""
    return isinstance(value, list) and len(value) == 2 and isinstance(value[0], str) and isinstance(value[1], int)


def links(node: Mapping[str, Any]) -> Iterator[str]:
    """The ids of the nodes that feed this one, in the order of its inputs."""
    inputs = node.get("inputs")
    if isinstance(inputs, dict):
        yield from (value[0] for value in inputs.values() if is_link(value))


def consumed(prompt: Prompt) -> set[str]:
    """The ids of the nodes whose outputs another node uses."""
    return {source for node in prompt.values() for source in links(node)}


class ExecutionOrder:
    """Hands out the nodes of a job, one at a time, each after those that feed it.

    Among the nodes that could run, ComfyUI prefers one that shows something, then one that feeds such a node,
    then one that feeds a feeder of it, then the first of its list (docs/fidelity.md, "Execution order").
    """

    def __init__(
        self,
        prompt: Prompt,
        outputs: Iterable[str],
        showing: AbstractSet[str],
        cached: AbstractSet[str] = frozenset(),
        shown: AbstractSet[str] = frozenset(),
    ) -> None:
        """Take in the ancestors of ``outputs``.

        :param showing: the nodes of the prompt that are outputs by their type.
        :param cached: the nodes that need not run, and need nothing that feeds them.
        :param shown: those of them that come up all the same, because they have something to show.
        """
        self._waits: dict[str, set[str]] = {}
        self._feeds: dict[str, set[str]] = {}
        self._showing = showing
        for output in outputs:
            self._add(prompt, output, cached, shown)
        self._place = {node: place for place, node in enumerate(self._waits)}
        self._ready = [self._turn(node) for node, sources in self._waits.items() if not sources]
        heapq.heapify(self._ready)

    def _add(self, prompt: Prompt, output: str, cached: AbstractSet[str], shown: AbstractSet[str]) -> None:
        ahead = [output]
        while ahead:
            node = ahead.pop()
            if node in self._waits or (node in cached and node not in shown):
                continue
            known = () if node in cached else dict.fromkeys(links(prompt[node]))
            sources = [source for source in known if source in prompt]
            self._waits[node] = {source for source in sources if source not in cached or source in shown}
            for source in sources:
                self._feeds.setdefault(source, set()).add(node)
            ahead.extend(sources)

    def next(self) -> str | None:
        """The node to run now, or ``None`` when all are done (or wait for each other)."""
        return heapq.heappop(self._ready)[-1] if self._ready else None

    def finish(self, node: str) -> None:
        """A node is done: what waited for it waits no longer."""
        for consumer in self._feeds.get(node, ()):
            sources = self._waits.get(consumer, set())
            if node in sources:
                sources.discard(node)
                if not sources:
                    heapq.heappush(self._ready, self._turn(consumer))

    def _turn(self, node: str) -> tuple[int, int, str]:
        """When a node that could run is run: by its rank, then by its place in the list."""
        return self._rank(node), self._place[node], node

    def _rank(self, node: str) -> int:
        if node in self._showing:
            return 0
        consumers = self._feeds.get(node, set())
        if consumers & self._showing:
            return 1
        if any(self._feeds.get(consumer, set()) & self._showing for consumer in consumers):
            return 2
        return 3
