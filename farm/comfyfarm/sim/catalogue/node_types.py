"""Node types, read from their ``/object_info`` entries."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Input:
    """One declared input.

    :ivar name: as in a prompt: ``format.bit_depth`` for a part of a dynamic input.
    :ivar label: the name without that of the dynamic input: ``bit_depth``.
    :ivar type: ComfyUI's type name; ``COMBO`` for a choice, old style or new.
    :ivar config: the pair ``[type, options]`` as ComfyUI repeats it in its errors.
    :ivar choices: what a ``COMBO`` offers as recorded, else ``None``.
    """

    name: str
    label: str
    type: str
    options: Mapping[str, Any]
    required: bool
    config: list[Any]
    choices: list[Any] | None


@dataclass(frozen=True)
class NodeType:
    """The declaration of a node type.

    :ivar inputs: in the declared order, the required ones first.
    :ivar outputs: their types, by slot; a list for nodes of ComfyUI's newer kind, which shows in its errors.
    :ivar hidden: by name, the values that the server adds: ``PROMPT``, ``EXTRA_PNGINFO``, ``UNIQUE_ID`` ...
    :ivar is_api: it calls a paid service, for which it needs the client's key.
    :ivar shows_again: it is no output node, but what it shows is shown again when it is cached.
    :ivar id_matters: its result depends on its node id (an old-style node with the hidden input ``UNIQUE_ID``).
    """

    name: str
    inputs: Mapping[str, Input]
    outputs: Sequence[str]
    output_node: bool
    hidden: Mapping[str, str]
    id_matters: bool
    is_api: bool = False
    shows_again: bool = False


def read_node_type(name: str, entry: Mapping[str, Any]) -> NodeType:
    """Read an ``/object_info`` entry; wrong declarations of custom nodes are treated as in ComfyUI."""
    groups = entry.get("input", {})
    outputs = ["COMBO" if isinstance(kind, list) else str(kind) for kind in entry.get("output", ())]
    hidden = {key: _hidden_type(spec) for key, spec in _group(groups, "hidden").items()}
    return NodeType(
        name=name,
        inputs={declared.name: declared for declared in read_inputs(groups)},
        outputs=outputs if "api_node" in entry else tuple(outputs),
        output_node=bool(entry.get("output_node")),
        hidden=hidden,
        is_api=entry.get("api_node") is True,
        shows_again=bool(entry.get("has_intermediate_output")),
        id_matters="UNIQUE_ID" in hidden.values() and "api_node" not in entry,
    )


def read_inputs(groups: Mapping[str, Any]) -> Iterator[Input]:
    """Read the inputs of an ``/object_info`` entry or of a part of it, the required ones first."""
    for group in ("required", "optional"):
        for name, spec in _group(groups, group).items():
            yield _read_input(name, spec, required=group == "required")


def _group(groups: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    group = groups.get(name)
    return group if isinstance(group, dict) else {}


def _hidden_type(spec: object) -> str:
    return str(spec[0]) if isinstance(spec, list) and spec else str(spec)   # old-style nodes have the bare word


def _read_input(name: str, entry: object, *, required: bool) -> Input:
    spec = entry if isinstance(entry, list) and entry else ["*"]     # some custom nodes declare no type
    declared = spec[0]
    options = spec[1] if len(spec) > 1 and isinstance(spec[1], dict) else {}
    choices = declared if isinstance(declared, list) else options.get("options") if declared == "COMBO" else None
    return Input(
        name=name,
        label=name,
        type="COMBO" if isinstance(declared, list) else str(declared),
        options=options,
        required=required,
        config=[declared, options],
        choices=choices,
    )


def accepts(declared: str, received: str) -> bool:
    """Return whether an input of the declared type accepts a link of the received type.

    ``*`` and the types of matching and dynamic inputs accept anything; a comma separates alternatives.
    """
    if "*" in (declared, received) or declared.startswith("COMFY_") or received.startswith("COMFY_"):
        return True
    return set(received.split(",")) <= set(declared.split(","))
