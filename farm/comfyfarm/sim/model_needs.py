"""Which models a node needs in memory while it runs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from comfyfarm.sim.catalogue.catalogue import Catalogue
from comfyfarm.sim.memory import ModelFile
from comfyfarm.sim.prompt.workflow import is_link


@dataclass(frozen=True)
class ModelRequirements:
    """The models of one prompt, as they travel along its links.

    A loader needs the files it names.  What it hands on as ``MODEL``, ``CLIP``, ``VAE`` and the like carries them to
    whoever uses it; a text encoder hands on a conditioning, which needs no model any more.
    """

    prompt: Mapping[str, Any]
    catalogue: Catalogue
    _known: dict[str, tuple[ModelFile, ...]] = field(default_factory=dict)

    def of(self, node: str) -> tuple[ModelFile, ...]:
        """What this node needs, in the order of its inputs."""
        ahead = [node]
        while ahead:
            missing = [source for source in self._carriers(ahead[-1]) if source not in self._known]
            missing = [source for source in missing if source not in ahead]     # a cycle is no error of ours
            if missing:
                ahead.extend(missing)
            else:
                done = ahead.pop()
                self._known[done] = tuple(dict.fromkeys(self._files(done)))
        return self._known[node]

    def _files(self, node: str) -> Iterator[ModelFile]:
        class_type = self.prompt[node].get("class_type")
        for name, value in self.prompt[node].get("inputs", {}).items():
            choice = self.catalogue.recorded.model_choices.get((class_type, name))
            if choice is not None and isinstance(value, str) and value not in (*choice.before, *choice.after):
                yield ModelFile(choice.folder, value, self.catalogue.size_bytes(choice.folder, value))
        for source in self._carriers(node):
            yield from self._known.get(source, ())

    def _carriers(self, node: str) -> list[str]:
        """The nodes from which a model comes along a link."""
        links = [value for value in self.prompt[node].get("inputs", {}).values() if is_link(value)]
        return [source for source, slot in links if source in self.prompt and self._carries(source, slot)]

    def _carries(self, source: str, slot: int) -> bool:
        node_type = self.catalogue.node_type(self.prompt[source].get("class_type"))
        if node_type is None or not -len(node_type.outputs) <= slot < len(node_type.outputs):
            return False
        return node_type.outputs[slot] in self.catalogue.recorded.model_types
