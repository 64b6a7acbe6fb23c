"""Nodes that decide, choose and list."""

from __future__ import annotations

from typing import Any

from comfyfarm.sim.nodes.call import NodeCall, NodeError
from comfyfarm.sim.nodes.limits import several
from comfyfarm.sim.nodes.outcome import NodeOutcome
from comfyfarm.sim.nodes.table import rule
from comfyfarm.sim.values import Mask, Picture


@rule("PrimitiveBoolean")
def _primitive(call: NodeCall) -> NodeOutcome:
    return NodeOutcome(values=(call.inputs.get("value"),))


@rule("ComfySwitchNode")
def _switch(call: NodeCall) -> NodeOutcome:
    chosen = "on_true" if call.flag("switch", default=False) else "on_false"
    return NodeOutcome(values=(call.inputs.get(chosen),))


@rule("ComfyNotNode")
def _not(call: NodeCall) -> NodeOutcome:
    return NodeOutcome(values=(not _truth(call.inputs.get("value")),))


@rule("ComfyAndNode")
def _and(call: NodeCall) -> NodeOutcome:
    return NodeOutcome(values=(all(_truth(value) for value in call.group("values").values()),))


@rule("ComfyOrNode")
def _or(call: NodeCall) -> NodeOutcome:
    return NodeOutcome(values=(any(_truth(value) for value in call.group("values").values()),))


@rule("CreateList", takes_lists=True)
def _create_list(call: NodeCall) -> NodeOutcome:
    return NodeOutcome(values=(several(call.group("inputs").values()),))


@rule("CustomCombo")
def _custom_combo(call: NodeCall) -> NodeOutcome:
    """The choice and its place among the options that the page adds to the node."""
    choice = call.inputs.get("choice")
    options = [value for name, value in call.inputs.items() if name.startswith("option")]
    place = options.index(choice) if choice in options else 0
    return NodeOutcome(values=(choice, call.integer("index", place)))


def _truth(value: Any) -> bool:
    """What Python takes for true; a model that nobody knows is there, after all.

    :raises NodeError: for pictures, which PyTorch does not take for either.
    """
    if isinstance(value, Picture | Mask):
        raise NodeError("RuntimeError", "Boolean value of Tensor with more than one value is ambiguous")
    return value is None or bool(value)
