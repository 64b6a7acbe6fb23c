"""What a node type declares, read from its ``/object_info`` entry."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Input:
    """One declared input.

    :ivar type: ComfyUI's type name; ``COMBO`` for a choice, old style or new.
    :ivar config: the pair ``[type, options]`` as ComfyUI repeats it in its errors.
    :ivar choices: what a ``COMBO`` offers as recorded, else ``None``.
    """

    name: str
    type: str
    options: Mapping[str, Any]
    required: bool
    config: list[Any]
    choices: list[Any] | None


@dataclass(frozen=True)
class NodeType:
    """What is known about a node type without running it.

    :ivar inputs: in the declared order, the required ones first.
    :ivar outputs: their types, by slot.
    :ivar has_intermediate_output: it shows something although it is no output.
    :ivar hidden: what the server hands it beside its inputs: by name, ``PROMPT``, ``EXTRA_PNGINFO``, ``UNIQUE_ID`` ...
    :ivar id_matters: whether its result belongs to its node id (an old-style node that is told its id).
    """

    name: str
    inputs: Mapping[str, Input]
    outputs: tuple[str, ...]
    output_node: bool
    has_intermediate_output: bool
    hidden: Mapping[str, str]
    id_matters: bool


def read_node_type(name: str, entry: Mapping[str, Any]) -> NodeType:
    """Read an ``/object_info`` entry; what a custom node declares wrongly is taken as ComfyUI would take it."""
    groups = entry.get("input", {})
    hidden = {key: _hidden_type(spec) for key, spec in _group(groups, "hidden").items()}
    return NodeType(
        name=name,
        inputs={
            key: _read_input(key, spec, required=group == "required")
            for group in ("required", "optional")
            for key, spec in _group(groups, group).items()
        },
        outputs=tuple("COMBO" if isinstance(each, list) else str(each) for each in entry.get("output", ())),
        output_node=bool(entry.get("output_node")),
        has_intermediate_output=bool(entry.get("has_intermediate_output")),
        hidden=hidden,
        id_matters="UNIQUE_ID" in hidden.values() and "api_node" not in entry,
    )


def _group(groups: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = groups.get(name)
    return found if isinstance(found, dict) else {}


def _hidden_type(spec: object) -> str:
    """Old-style nodes write the bare word, newer ones a list of it."""
    return str(spec[0]) if isinstance(spec, list) and spec else str(spec)


def _read_input(name: str, given: object, *, required: bool) -> Input:
    spec = given if isinstance(given, list) and given else ["*"]     # some custom nodes say less than they should
    declared = spec[0]
    options = spec[1] if len(spec) > 1 and isinstance(spec[1], dict) else {}
    choices = declared if isinstance(declared, list) else options.get("options") if declared == "COMBO" else None
    return Input(
        name=name,
        type="COMBO" if isinstance(declared, list) else str(declared),
        options=options,
        required=required,
        config=[declared, options],
        choices=choices,
    )


def accepts(wanted: str, received: str) -> bool:
    """Whether a link may carry this type to an input of that type.

    ``*`` and the types of matching and dynamic inputs take anything; a comma separates alternatives.
    """
    if "*" in (wanted, received) or wanted.startswith("COMFY_") or received.startswith("COMFY_"):
        return True
    return set(received.split(",")) <= set(wanted.split(","))
