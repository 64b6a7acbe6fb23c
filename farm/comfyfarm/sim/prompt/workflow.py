"""A prompt as a graph of nodes: its links, and the order of execution."""

import heapq
from collections.abc import Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from typing import Any

Prompt = Mapping[str, Any]
Links = Mapping[str, list[Any]]
"""The linked inputs of a node: each is ``[node_id, slot]``."""

_NONE: Mapping[str, AbstractSet[str]] = {}


def is_link(value: object) -> bool:
    """Return whether an input's value refers to another node's output: ``[node_id, slot]``."""
    return isinstance(value, list) and len(value) == 2 and isinstance(value[0], str) and isinstance(value[1], int)


def links_of(node: Mapping[str, Any]) -> Links:
    """Return the inputs of a node that are links, in their order."""
    inputs = node.get("inputs")
    if not isinstance(inputs, dict):
        return {}
    return {name: value for name, value in inputs.items() if type(value) is list and is_link(value)}


def links_in(prompt: Prompt) -> dict[str, Links]:
    return {node_id: links_of(node) for node_id, node in prompt.items()}


def links(node: Mapping[str, Any]) -> Iterator[str]:
    """Yield the ids of the nodes that feed this one, in the order of its inputs."""
    return (value[0] for value in links_of(node).values())


def consumed(prompt: Prompt) -> set[str]:
    """Return the ids of the nodes whose outputs another node uses."""
    return {source for node in prompt.values() for source in links(node)}


def class_types(nodes: Iterable[Any]) -> frozenset[str]:
    """Return the types of these nodes; they may be any JSON values."""
    return frozenset(str(node.get("class_type")) for node in nodes if isinstance(node, dict))


def input_texts(nodes: Iterable[Any]) -> frozenset[str]:
    """Return all texts among the inputs of these nodes, which include the names of models."""
    inputs = [node.get("inputs") for node in nodes if isinstance(node, dict)]
    values = [value for group in inputs if isinstance(group, dict) for value in group.values()]
    return frozenset(value for value in values if isinstance(value, str))


class ExecutionOrder:
    """Returns the nodes of a job one at a time, each after those that feed it.

    Among the nodes that could run, ComfyUI prefers one that shows something, then one that feeds such a node,
    then one that feeds a feeder of it, then the first of its list (docs/fidelity.md, "Execution order").

    :param links: of each node of the prompt.
    :param showing: the nodes of the prompt that are outputs by their type.
    :param cached: the nodes that need not run; nor do the nodes that only they use.
    :param shown: those of ``cached`` that are returned all the same, because they have something to show.
    :param lazy: by node, the inputs that it does not wait for; see :meth:`wait_for`.
    """

    def __init__(
        self,
        links: Mapping[str, Links],
        outputs: Iterable[str],
        showing: AbstractSet[str],
        cached: AbstractSet[str] = frozenset(),
        shown: AbstractSet[str] = frozenset(),
        lazy: Mapping[str, AbstractSet[str]] = _NONE,
    ) -> None:
        self._links, self._showing, self._cached, self._lazy = links, showing, cached, lazy
        self._waits: dict[str, set[str]] = {}
        self._feeds: dict[str, set[str]] = {}
        self._place: dict[str, int] = {}
        self._ready: list[tuple[int, int, str]] = []
        self._left_out: set[str] = {*cached - shown}     # also those that are done
        self._extend(outputs)

    def _extend(self, outputs: Iterable[str]) -> None:
        """Add these nodes, and those that they need."""
        added = [node for output in outputs for node in self._add(output)]
        for node in added:
            if not self._waits[node]:
                heapq.heappush(self._ready, self._priority(node))

    def _add(self, output: str) -> Iterable[str]:
        """Add a node and those that it needs; return those that are new."""
        ahead, added = [output], []
        while ahead:
            node = ahead.pop()
            if node in self._waits or node in self._left_out:
                continue
            waits = self._waits[node] = set()
            self._place[node] = len(self._place)
            added.append(node)
            for source, _ in () if node in self._cached else self._waited_links(node):
                if source in self._links and source not in waits:
                    self._feeds.setdefault(source, set()).add(node)
                    if source not in self._left_out:
                        waits.add(source)
                        ahead.append(source)
        return added

    def _waited_links(self, node: str) -> Iterable[list[Any]]:
        """Return the links for which a node waits, in the order of its inputs."""
        links = self._links[node]
        if node in self._lazy:
            return [link for name, link in links.items() if name not in self._lazy[node]]
        return links.values()

    @property
    def nodes(self) -> Iterable[str]:
        """The nodes that will be returned."""
        return self._waits

    def next(self) -> str | None:
        """Return the node to run now, or ``None`` when all are done (or wait for each other)."""
        return heapq.heappop(self._ready)[-1] if self._ready else None

    def wait_for(self, node: str, source: str) -> None:
        """Let a node that was returned wait for the source of a lazy input; it is returned again afterwards."""
        self._waits[node] = {source}
        self._feeds.setdefault(source, set()).add(node)
        self._extend([source])

    def finish(self, node: str) -> None:
        """Mark a node as done; those that waited only for it are ready."""
        self._left_out.add(node)
        for consumer in self._feeds.get(node, ()):
            sources = self._waits.get(consumer)
            if sources and node in sources:
                sources.discard(node)
                if not sources:
                    heapq.heappush(self._ready, self._priority(consumer))

    def _priority(self, node: str) -> tuple[int, int, str]:
        return self._rank(node), self._place[node], node

    def _rank(self, node: str) -> int:
        if node in self._showing:
            return 0
        consumers = self._feeds.get(node, ())
        if not self._showing.isdisjoint(consumers):
            return 1
        for consumer in consumers:
            if not self._showing.isdisjoint(self._feeds.get(consumer, ())):
                return 2
        return 3
