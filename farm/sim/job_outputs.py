"""How many outputs has a job in the jobs API, and which one stands for all (docs/fidelity.md, "Jobs")?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["OutputRules"]

_PREVIEWABLE = ("images", "video", "gifs", "audio", "3d")
_SHAPES = (".obj", ".fbx", ".gltf", ".glb", ".usdz")
_DOCUMENTS = (".txt", ".md", ".json")
_LONGEST_TEXT = 1024

Outputs = Mapping[str, Mapping[str, Any]]
"""By node, what it showed: lists by kind."""


@dataclass(frozen=True)
class OutputRules:
    """How a server of a certain version looks at outputs.

    :ivar counts_texts: a text that a node shows counts.
    :ivar previews_documents: a file of text can stand for all.
    """

    counts_texts: bool = True
    previews_documents: bool = False

    def count(self, outputs: Outputs) -> int:
        """How many there are."""
        return sum(self._counts(kind, item) for _, kind, item in _items(outputs))

    def preview(self, outputs: Outputs) -> dict[str, Any] | None:
        """The first that can be shown and lies in the output folder, else the first that can be shown."""
        shown = list(self._shown(outputs))
        return next((each for each in shown if each.get("type") == "output"), shown[0] if shown else None)

    def _counts(self, kind: str, item: object) -> bool:
        if kind == "animated":
            return False
        if isinstance(item, str):
            return item.lower().endswith(_SHAPES) or (kind == "text" and self.counts_texts)
        return isinstance(item, dict)

    def _shown(self, outputs: Outputs) -> Iterator[dict[str, Any]]:
        for node, kind, item in _items(outputs):
            if isinstance(item, dict) and (kind in _PREVIEWABLE or self._is_document(item)):
                yield {**item, "nodeId": node, "mediaType": kind}
            elif kind == "text" and isinstance(item, str):
                yield _text(item, node)

    def _is_document(self, item: Mapping[str, Any]) -> bool:
        return self.previews_documents and str(item.get("filename", "")).lower().endswith(_DOCUMENTS)


def _items(outputs: Outputs) -> Iterator[tuple[str, str, object]]:
    for node, ui in outputs.items():
        for kind, items in ui.items():
            yield from ((node, kind, item) for item in items)


def _text(text: str, node: str) -> dict[str, Any]:
    short: dict[str, Any] = {"content": text[:_LONGEST_TEXT]}
    if len(text) > _LONGEST_TEXT:
        short["truncated"] = True
    return {**short, "nodeId": node, "mediaType": "text"}
