"""The quick look at a prompt, which finds most prompts valid; the others go to the whole validation.

A prompt is plain if each node that an output needs has plain constants, and links to nodes that give what it takes.
Nothing is changed unless the whole prompt is plain, so that the validation sees the others as they were sent.
"""

from collections.abc import Container
from typing import Any

from comfyfarm.sim.catalogue.catalogue import Catalogue
from comfyfarm.sim.catalogue.node_types import accepts
from comfyfarm.sim.catalogue.type_facts import Test, TypeFacts

Prompt = dict[str, Any]

LONGEST_CHAIN = 950
"""Beyond this number of nodes ComfyUI reports Python's RecursionError.  It takes 600 and refuses 1,000."""

_EXACT = 1 << 53        # up to here each integer is a float
_NO_META: dict[str, Any] = {}


def plain_outputs(prompt: Prompt, targets: Container[str] | None, catalogue: Catalogue) -> tuple[str, ...]:
    """Return the output nodes of a plain prompt, with its integers converted to floats where those are declared.

    Empty if the prompt is not plain, and if it has no output.
    """
    if catalogue.validation == "off":
        return ()
    facts = _facts_of(prompt, catalogue)
    if facts is None:
        return ()
    outputs = [
        node_id
        for node_id, found in facts.items()
        if found.node_type is not None and found.node_type.output_node and (targets is None or node_id in targets)
    ]
    changes: list[tuple[dict[str, Any], str, float]] = []
    if not _are_plain(prompt, facts, outputs, catalogue, changes):
        return ()
    for inputs, name, value in changes:
        inputs[name] = value
    return tuple(outputs)


def _facts_of(prompt: Prompt, catalogue: Catalogue) -> dict[str, TypeFacts] | None:
    """Return the facts of each node's type; ``None`` if one is unknown, has dynamic inputs or is no type at all."""
    facts: dict[str, TypeFacts] = {}
    for node_id, node in prompt.items():
        class_type = node.get("class_type")
        if type(class_type) is not str or type(node.get("_meta", _NO_META)) is not dict:
            return None
        found = facts[node_id] = catalogue.facts(class_type)
        if found.inputs is None:
            return None
    return facts


def _are_plain(
    prompt: Prompt,
    facts: dict[str, TypeFacts],
    outputs: list[str],
    catalogue: Catalogue,
    changes: list[tuple[dict[str, Any], str, float]],
) -> bool:
    """Return whether these nodes and all that feed them are plain, in no cycle and no long chain; collect the changes.

    They are looked at in the order of the validation, on which it depends how long a chain it meets.
    """
    ahead = outputs[::-1]
    is_done: dict[str, bool] = {}       # by node; False while the nodes that feed it are under way
    depth = 0
    while ahead:
        node_id = ahead[-1]
        if node_id in is_done:
            ahead.pop()
            if not is_done[node_id]:
                is_done[node_id] = True
                depth -= 1
            continue
        is_done[node_id] = False
        depth += 1
        sources = _sources(prompt[node_id].get("inputs"), facts[node_id], facts, catalogue, changes)
        if sources is None or depth > LONGEST_CHAIN:
            return False
        for source in reversed(sources):
            if source not in is_done:
                ahead.append(source)
            elif not is_done[source]:
                return False
    return True


def _sources(
    inputs: Any,
    own: TypeFacts,
    facts: dict[str, TypeFacts],
    catalogue: Catalogue,
    changes: list[tuple[dict[str, Any], str, float]],
) -> list[str] | None:
    """Return the nodes that feed a node; ``None`` if one of its declared inputs is not plain."""
    if type(inputs) is not dict:
        return None
    sources: list[str] = []
    for name, declared_type, required, is_plain in own.inputs or ():
        if name not in inputs:
            if required:
                return None
            continue
        value = inputs[name]
        if type(value) is list:
            if not _is_fed(declared_type, value, facts):
                return None
            sources.append(value[0])
        elif not is_plain(value):
            if not _is_whole_float(declared_type, is_plain, value):
                return None
            changes.append((inputs, name, float(value)))
    return sources if not own.files or _has_files(inputs, own.files, catalogue) else None


def _is_whole_float(declared_type: str, is_plain: Test, value: Any) -> bool:
    """Return whether a constant is an integer that stands for a float: ``"cfg": 8``."""
    is_exact = declared_type == "FLOAT" and type(value) is int and -_EXACT < value < _EXACT
    return is_exact and is_plain(float(value))


def _is_fed(declared_type: str, value: list[Any], facts: dict[str, TypeFacts]) -> bool:
    """Return whether a link leads to an output of a type that the input accepts."""
    if len(value) != 2:
        return False
    source, slot = value
    if type(source) is not str or type(slot) is not int or source not in facts:
        return False
    received = facts[source].outputs.get(slot)
    return received is not None and (received == declared_type or accepts(declared_type, received))


def _has_files(inputs: dict[str, Any], names: tuple[str, ...], catalogue: Catalogue) -> bool:
    if catalogue.validation == "lenient":
        return True
    values = [inputs[name] for name in names if name in inputs]
    try:
        return all(type(value) is list or (type(value) is str and catalogue.has_file(value)) for value in values)
    except (OSError, ValueError):       # the name cannot be that of a file
        return False
