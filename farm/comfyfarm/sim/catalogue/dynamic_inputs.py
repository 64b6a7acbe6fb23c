"""Dynamic inputs: what they declare depends on the values in the prompt (docs/fidelity.md, "Validation").

Each choice of a dynamic combo declares further inputs: ``format.bit_depth`` if ``format`` is ``png``.  An autogrow
input declares a row of inputs: ``images.image0``, ``images.image1`` and so on.  Either may hold the other.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from comfyfarm.sim.catalogue.node_types import Input, NodeType, read_inputs

_COMBO, _ROW = "COMFY_DYNAMICCOMBO_V3", "COMFY_AUTOGROW_V3"


def declared_inputs(node_type: NodeType, values: Mapping[str, Any]) -> Iterator[Input]:
    """Yield the inputs that a node of this type has.

    :param values: its inputs in the prompt.  A dynamic combo whose value is none of its choices declares nothing, not
        even itself.
    """
    yield from _expand(node_type.inputs.values(), values)


def has_dynamic_inputs(node_type: NodeType) -> bool:
    return any(declared.type in (_COMBO, _ROW) for declared in node_type.inputs.values())


def unchosen(node_type: NodeType, values: Mapping[str, Any]) -> Iterator[str]:
    """Yield the required dynamic combos of a node whose value is missing or none of their choices."""
    for declared in node_type.inputs.values():
        if declared.type == _COMBO and declared.required and _choice(declared, values) is None:
            yield declared.name


def _expand(inputs: Iterable[Input], values: Mapping[str, Any]) -> Iterator[Input]:
    for declared in inputs:
        if declared.type == _ROW:
            yield from _expand(_row(declared), values)
        elif declared.type != _COMBO:
            yield declared
        elif (choice := _choice(declared, values)) is not None:
            yield declared
            # A real server reports their errors in any order; the last first is the one that was recorded.
            yield from _expand(reversed([*_parts(declared, choice.get("inputs"))]), values)


def _choice(declared: Input, values: Mapping[str, Any]) -> Mapping[str, Any] | None:
    options = declared.options.get("options")
    choices = [choice for choice in options if isinstance(choice, dict)] if isinstance(options, list) else []
    value = values.get(declared.name)
    return next((choice for choice in choices if declared.name in values and choice.get("key") == value), None)


def _row(declared: Input) -> Iterator[Input]:
    """Yield the inputs of a row, of which the first ``min`` are required."""
    template = declared.options.get("template")
    if not isinstance(template, dict):
        return
    items = list(_parts(declared, template.get("input")))
    names = template.get("names") or [f"{template.get('prefix', '')}{index}" for index in range(template.get("max", 0))]
    for index, name in enumerate(names):
        for item in items:      # one
            required = item.required and index < template.get("min", 0)
            yield replace(item, name=f"{declared.name}.{name}", label=name, required=required)


def _parts(declared: Input, groups: Any) -> Iterator[Input]:
    for part in read_inputs(groups if isinstance(groups, dict) else {}):
        yield replace(part, name=f"{declared.name}.{part.name}")
