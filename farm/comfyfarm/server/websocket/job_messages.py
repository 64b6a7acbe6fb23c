"""The contents of messages, encoded in parts: what the messages about a job repeat is encoded once.

The result is that of ``json.dumps``, byte for byte.  Faster encoders such as msgspec's cannot give its bytes: they
write no spaces, and no escapes for characters that are not ASCII.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from json.encoder import encode_basestring_ascii
from typing import Any, Literal, Self

from comfyfarm.json_text import encode_text

Fields = Mapping[str, str]
"""The data of a message: by name, the values; both are JSON already."""

quoted: Callable[[str], str] = encode_basestring_ascii
"""Encodes a string."""


def encode_fields(kind: str, fields: Fields) -> str:
    """Return the content of a message; its type has only letters that need no escape."""
    data = ", ".join([f"{name}: {value}" for name, value in fields.items()])    # joined(), without its call
    return f'{{"type": "{kind}", "data": {{{data}}}}}'


def joined(fields: Fields) -> str:
    """Return an object without its braces."""
    return ", ".join([f"{name}: {value}" for name, value in fields.items()])


def fields_of(data: Mapping[str, Any]) -> Fields:
    return {quoted(name): encode_text(value) for name, value in data.items()}


@dataclass(eq=False)
class NodeProgress:
    """The ``progress_state`` entry of one node; ``value`` and ``max`` are floats until the node reports a step.

    :ivar ids: the part of the entry that never changes.
    """

    node: str
    display_node: str
    real_node: str
    ids: Fields
    value: float = 0.0
    max: float = 1.0
    state: Literal["running", "finished"] = "running"

    @classmethod
    def of(cls, prompt_id: str, node: str, parent: Self | None) -> Self:
        """Return the entry of a node that was just begun.

        :param parent: the entry of the node that it is an expansion of.
        """
        display_node, real_node = (parent.display_node, parent.real_node) if parent else (node, node)
        ids = {
            '"node_id"': quoted(node),
            '"prompt_id"': quoted(prompt_id),
            '"display_node_id"': quoted(display_node),
            '"parent_node_id"': quoted(parent.node) if parent else "null",
            '"real_node_id"': quoted(real_node),
        }
        return cls(node, display_node, real_node, ids)

    def __post_init__(self) -> None:
        self._name, self._ids = quoted(self.node), joined(self.ids)

    @property
    def encoded(self) -> str:
        """The name of the entry, and the entry."""
        return f'{self._name}: {{"value": {self.value}, "max": {self.max}, "state": "{self.state}", {self._ids}}}'


@dataclass(eq=False)
class JobProgress:
    """The progress of every node of one job that was begun; an entry is encoded again only when it changes."""

    prompt_id: str
    nodes: dict[str, NodeProgress] = field(default_factory=dict)
    _encoded: dict[str, str] = field(default_factory=dict)

    def begin(self, node: str, parent: str = "") -> NodeProgress:
        """Add a node, or begin it again; ``parent`` is the node that it is an expansion of, or empty."""
        entry = self.nodes[node] = NodeProgress.of(self.prompt_id, node, self.nodes.get(parent))
        self.changed(entry)
        return entry

    def step(self, node: str, value: int, most: int) -> None:
        """Take the progress that a node reports."""
        entry = self.nodes[node]
        entry.value, entry.max = value, most
        self.changed(entry)

    def changed(self, entry: NodeProgress) -> None:
        """Encode an entry again."""
        self._encoded[entry.node] = entry.encoded

    @property
    def fields(self) -> Fields:
        return {'"prompt_id"': quoted(self.prompt_id), '"nodes"': f"{{{', '.join(self._encoded.values())}}}"}
