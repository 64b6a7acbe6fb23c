"""Runs single nodes, or all nodes of a prompt, without an instance."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from comfyfarm.config.recorded import recorded
from comfyfarm.sim.files import MemoryFiles
from comfyfarm.sim.nodes import NodeCall, NodeOutcome, run
from comfyfarm.sim.prompt.workflow import is_link
from comfyfarm.versions import DEFAULT_BEHAVIOUR, Behaviour

PICTURE_SIZE = (512, 768)


@dataclass
class Nodes:
    """Runs nodes as an instance with an input picture of :data:`PICTURE_SIZE` does."""

    files: MemoryFiles = field(default_factory=MemoryFiles)
    behaviour: Behaviour = DEFAULT_BEHAVIOUR

    def call(self, class_type: str, /, **inputs: Any) -> NodeCall:
        """Return the call of a node; two underscores in the name of an argument stand for a dot."""
        node_type = recorded().node_types.get(class_type)
        return NodeCall(
            class_type=class_type,
            inputs={name.replace("__", "."): value for name, value in inputs.items()},
            outputs=node_type.outputs if node_type else (),
            shows=node_type.output_node if node_type else True,
            size=PICTURE_SIZE,
            files=self.files,
            behaviour=self.behaviour,
        )

    def run(self, class_type: str, /, **inputs: Any) -> NodeOutcome:
        return run(self.call(class_type, **inputs))

    def value(self, class_type: str, /, **inputs: Any) -> Any:
        """Return the first output of a node."""
        return self.run(class_type, **inputs).values[0]

    def flow(self, prompt: Mapping[str, tuple[str, dict[str, Any]]]) -> dict[str, NodeOutcome]:
        """Run a prompt (node id -> type and inputs) whose nodes are in the order of their links."""
        outcomes: dict[str, NodeOutcome] = {}
        for node, (class_type, inputs) in prompt.items():
            values = {
                name: outcomes[value[0]].values[value[1]] if is_link(value) else value for name, value in inputs.items()
            }
            outcomes[node] = self.run(class_type, **values)
        return outcomes
