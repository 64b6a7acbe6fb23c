"""The cache of results that outlive a job (docs/fidelity.md, "Result cache")."""

import hashlib
from collections import OrderedDict
from collections.abc import Collection, Generator, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from comfyfarm.json_text import encode_text
from comfyfarm.sim.catalogue.catalogue import Catalogue, annotated
from comfyfarm.sim.prompt.workflow import is_link, links

Key = str
_NODES_IN_A_STEP = 500      # about 5 ms
_NEVER_CACHED = {"SaveImageWebsocket"}     # its IS_CHANGED returns the time


class Result(msgspec.Struct, frozen=True):
    """The result of a node.

    :ivar values: by output slot.
    :ivar ui: what it showed, or ``None``.
    :ivar meta: the node ids of the run that produced ``ui``.
    """

    values: tuple[Any, ...]
    ui: dict[str, Any] | None
    meta: dict[str, Any]


@dataclass(eq=False)
class ResultCache:
    """The results of an instance, by content.

    :ivar policy: ``none``, ``ram``, ``classic`` or ``lru:N``.
    """

    policy: str
    _results: OrderedDict[Key, Result] = field(default_factory=OrderedDict)

    @property
    def is_on(self) -> bool:
        return self.policy != "none"

    def find(self, key: Key | None) -> Result | None:
        if key is None or key not in self._results:
            return None
        self._results.move_to_end(key)
        return self._results[key]

    def add(self, key: Key | None, result: Result) -> None:
        """Keep a result; ``lru:N`` drops the least recently used one if there are more than N."""
        if key is None or not self.is_on:
            return
        self._results[key] = result
        if self.policy.startswith("lru:") and len(self._results) > int(self.policy.removeprefix("lru:")):
            self._results.popitem(last=False)

    def clear(self) -> None:
        self._results.clear()

    def keep_only(self, keys: Collection[Key | None]) -> None:
        for key in self._results.keys() - set(keys):
            del self._results[key]


def result_keys(prompt: Mapping[str, Any], catalogue: Catalogue) -> Generator[int, None, dict[str, Key | None]]:
    """Return for each node a hash of its type, constants and files, and of the same of all nodes that feed it.

    ``None`` for a node whose result is never kept.  Node ids, titles and extra data do not matter.  The generator
    pauses for no time after each part of a large prompt.
    """
    keys: dict[str, Key | None] = {}
    for start in prompt:
        ahead = [start]
        under_way: set[str] = set()
        while ahead:
            node = ahead[-1]
            sources = [source for source in links(prompt[node]) if source in prompt]
            missing = [source for source in sources if source not in keys and source not in under_way]
            if node in keys or not missing:
                ahead.pop()
                if node not in keys:
                    keys[node] = _key(prompt, node, keys, catalogue)
                    if not len(keys) % _NODES_IN_A_STEP:
                        yield 0
            else:
                under_way.add(node)
                ahead.extend(missing)
    return keys


def _key(prompt: Mapping[str, Any], node: str, keys: Mapping[str, Key | None], catalogue: Catalogue) -> Key | None:
    class_type = prompt[node].get("class_type")
    node_type = catalogue.node_type(class_type)
    parts: list[Any] = [class_type, node if node_type is not None and node_type.id_matters else None]
    for name, value in sorted(prompt[node].get("inputs", {}).items()):
        if is_link(value):
            source = keys.get(value[0])
            if source is None:
                return None
            parts.append([name, "link", source, value[1]])
        else:
            parts.append([name, value, _digest(class_type, name, value, catalogue)])
    if class_type in _NEVER_CACHED:
        return None
    return hashlib.sha256(encode_text(parts).encode()).hexdigest()


def _digest(class_type: Any, name: str, value: Any, catalogue: Catalogue) -> str | None:
    if catalogue.file_kind(class_type, name) is None or not isinstance(value, str):
        return None
    place = catalogue.files.find(*annotated(value))
    return catalogue.files.digest(place) if place else None
