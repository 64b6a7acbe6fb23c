"""What do tests of the nodes need?  A way to run one, or a whole prompt of them, without an instance."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from comfyfarm.config.recorded import recorded
from comfyfarm.sim.files import MemoryFiles
from comfyfarm.sim.nodes import NodeCall, NodeOutcome, run
from comfyfarm.sim.prompt.workflow import is_link

__all__ = ["PICTURE_SIZE", "Nodes"]

PICTURE_SIZE = (512, 768)


@dataclass
class Nodes:
    """Runs nodes as an instance would whose input picture is 512 x 768."""

    files: MemoryFiles = field(default_factory=MemoryFiles)

    def call(self, class_type: str, /, **inputs: Any) -> NodeCall:
        """The call of a node; an input with a dot in its name is written with two underscores."""
        known = recorded().node_types.get(class_type)
        return NodeCall(
            class_type=class_type,
            inputs={name.replace("__", "."): value for name, value in inputs.items()},
            outputs=known.outputs if known else (),
            shows=known.output_node if known else True,
            size=PICTURE_SIZE,
            files=self.files,
        )

    def run(self, class_type: str, /, **inputs: Any) -> NodeOutcome:
        """What a node comes to."""
        return run(self.call(class_type, **inputs))

    def value(self, class_type: str, /, **inputs: Any) -> Any:
        """What a node gives at its first output."""
        return self.run(class_type, **inputs).values[0]

    def flow(self, prompt: Mapping[str, tuple[str, dict[str, Any]]]) -> dict[str, NodeOutcome]:
        """What the nodes of a prompt come to, each of which follows those that it uses: id -> type and inputs."""
        outcomes: dict[str, NodeOutcome] = {}
        for node, (class_type, inputs) in prompt.items():
            given = {
                name: outcomes[value[0]].values[value[1]] if is_link(value) else value for name, value in inputs.items()
            }
            outcomes[node] = self.run(class_type, **given)
        return outcomes
