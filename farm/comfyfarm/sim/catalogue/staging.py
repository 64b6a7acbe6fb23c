"""Declared node types: the outputs that they show, and the nodes that they expand into (docs/capture.md)."""

import re
from collections.abc import Mapping
from typing import Any, Literal

import msgspec

_PLACE = re.compile(r"\{(input\.[^{}]+|filename|stem|subfolder|type|path)\}")


class Shown(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One list in the ``ui`` output of a node: files, or other values.

    Texts in ``prefix``, ``fields`` and ``values`` may hold ``{input.NAME}``; those in ``fields`` also ``{filename}``,
    ``{stem}``, ``{subfolder}``, ``{type}`` and ``{path}``.

    :ivar suffix: that of the files, such as ``.mp4``; ``None`` for a list of other values.
    :ivar values: the items of the list, if they are no files.
    :ivar prefix: that of the files' names; ``None`` for the node's input ``filename_prefix``, else ``ComfyUI``.
    :ivar animated: one file for all pictures, instead of one for each.
    :ivar underscore: whether the number in a name ends with one, as in ``PREFIX_00001_.png``.
    :ivar fields: what an entry has besides ``filename``, ``subfolder`` and ``type``.
    """

    suffix: str | None = None
    values: tuple[Any, ...] | None = None
    folder: Literal["output", "temp"] = "output"
    prefix: str | None = None
    animated: bool = False
    underscore: bool = True
    fields: dict[str, Any] = {}

    def __post_init__(self) -> None:
        if (self.suffix is None) == (self.values is None):
            raise ValueError("expected either suffix or values")
        if self.suffix is not None and not re.fullmatch(r"\.\w+", self.suffix):
            raise ValueError(f'suffix: expected one such as ".mp4", got {self.suffix!r}')


class ExpandedNode(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A node that another one puts in its place while it runs.

    :ivar inputs: as in a prompt: constants, links to other nodes of the expansion, or ``{input.NAME}``.
    """

    class_type: str
    inputs: dict[str, Any] = {}


class Staging(msgspec.Struct, frozen=True):
    """What a declared node type does besides passing its inputs on.

    :ivar shows: by key of its ``ui`` output.
    :ivar expands: by id within the expansion, in the order in which they run.
    """

    shows: dict[str, Shown] = {}
    expands: dict[str, ExpandedNode] = {}

    def expanded(self, node: str, inputs: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
        """Return the nodes of an expansion by their ids in the job, such as ``406.0.0.428``.

        :param inputs: those of the expanded node in the prompt.
        """
        facts = {f"input.{name}": value for name, value in inputs.items()}
        ids = {local: f"{node}.0.0.{local}" for local in self.expands}
        return {
            ids[local]: {
                "class_type": part.class_type,
                "inputs": {name: _relinked(filled(value, facts), value, ids) for name, value in part.inputs.items()},
            }
            for local, part in self.expands.items()
        }


def _relinked(value: Any, written: Any, ids: Mapping[str, str]) -> Any:
    is_local = value == written and isinstance(value, list) and len(value) == 2 and value[0] in ids
    return [ids[value[0]], value[1]] if is_local else value


def filled(value: Any, facts: Mapping[str, Any]) -> Any:
    """Return a value with facts in its places; a text that is nothing but a place becomes the fact itself."""
    if isinstance(value, dict):
        return {key: filled(item, facts) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [filled(item, facts) for item in value]
    if not isinstance(value, str):
        return value
    whole = _PLACE.fullmatch(value)
    if whole and whole[1] in facts:
        return facts[whole[1]]
    return _PLACE.sub(lambda place: str(facts.get(place[1], place[0])), value)
