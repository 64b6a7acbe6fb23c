"""The facts of a node type in a catalogue, looked up and compiled once: each node of each job needs them."""

from collections.abc import Callable, Mapping, Sequence
from math import inf
from typing import Any, TypeAlias

import msgspec

from comfyfarm.sim.catalogue.dynamic_inputs import has_dynamic_inputs
from comfyfarm.sim.catalogue.node_types import Input, NodeType
from comfyfarm.sim.catalogue.recorded import ModelChoice
from comfyfarm.sim.catalogue.socket_uses import SocketUses
from comfyfarm.sim.catalogue.staging import Staging

Test = Callable[[Any], bool]


PlainInput: TypeAlias = tuple[str, str, bool, Test]
"""An input that does not depend on others: its name; ComfyUI's name of its type; whether it is required; the quick test
of its constants, which says whether validation takes one without a change and without a closer look."""


class TypeFacts(msgspec.Struct, frozen=True):
    """The facts of one node type in one catalogue.

    :ivar node_type: ``None`` for an unknown type.
    :ivar uses: see :meth:`Catalogue.socket_uses`.
    :ivar outputs: the declared types, by slot as a link may name it: counted from either end.
    :ivar inputs: all inputs; ``None`` if they depend on the values in the prompt, or the type is unknown.
    :ivar names: those of all inputs, hidden ones included; ``None`` if they depend on the values in the prompt.
    :ivar used: the inputs that ``uses`` speaks of.
    :ivar needed: the declared inputs that a call must have, by ``uses``.
    :ivar files: the inputs that name files which the node itself checks.
    :ivar model_inputs: by name, the inputs that choose a model.
    :ivar model_slots: the output slots that carry a model, counted from either end.
    """

    name: str
    node_type: NodeType | None
    uses: SocketUses | None
    staging: Staging
    outputs: Mapping[int, str]
    inputs: tuple[PlainInput, ...] | None
    names: frozenset[str] | None
    used: frozenset[str]
    needed: frozenset[str]
    files: tuple[str, ...]
    model_inputs: Mapping[str, ModelChoice]
    model_slots: frozenset[int]


def names_of(node_type: NodeType | None) -> frozenset[str] | None:
    """Return the names of the inputs that a node type declares; ``None`` if they depend on the values in the prompt."""
    if node_type is None or has_dynamic_inputs(node_type):
        return None
    return frozenset((*node_type.inputs, *node_type.hidden))


def used_inputs(uses: SocketUses | None) -> frozenset[str]:
    """Return the inputs whose constants the recorded facts of a call speak of."""
    found: set[str] = set()
    for use in uses.uses if uses is not None else ():
        found.add(use.input)
        if isinstance(use.steps, str) and use.steps.startswith("+"):
            found.add(use.steps[1:])
    return frozenset(found)


def needed_inputs(node_type: NodeType | None, uses: SocketUses | None) -> frozenset[str]:
    """Return the declared inputs that a call must have, by its recorded facts."""
    return frozenset() if node_type is None or uses is None else frozenset(uses.needs) & node_type.inputs.keys()


def by_slot(outputs: Sequence[str]) -> dict[int, str]:
    """Return the types of outputs by the number of the slot, counted from the start and from the end."""
    return {slot: outputs[slot] for slot in range(-len(outputs), len(outputs))}


def plain_test(declared: Input, choices: Sequence[Any] | None, *, takes_any: bool) -> Test:
    """Return the quick test of an input's constants; it may be false for a value that validation takes all the same.

    :param choices: what a ``COMBO`` offers, if that never changes, else ``None``.
    :param takes_any: a ``COMBO`` takes any name.
    """
    low, high = declared.options.get("min", -inf), declared.options.get("max", inf)
    kind = {"INT": int, "FLOAT": float}.get(declared.type)
    if kind is not None:
        are_numbers = isinstance(low, int | float) and isinstance(high, int | float)
        return (lambda value: type(value) is kind and low <= value <= high) if are_numbers else _never
    if "min" in declared.options or "max" in declared.options:
        return _never
    if declared.type == "COMBO" and not takes_any:
        known = frozenset(choice for choice in choices or () if isinstance(choice, str))
        return lambda value: type(value) is str and value in known
    if declared.type in ("STRING", "COMBO"):
        return lambda value: type(value) is str
    if declared.type == "BOOLEAN":
        return lambda value: type(value) is bool
    return _never       # a constant in a socket


def _never(_: Any) -> bool:
    return False
