"""The table of node rules, and the call of a rule."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import zip_longest
from typing import Any

from msgspec.structs import replace

from comfyfarm.sim.nodes.call import NodeCall, NodeError, NodeOutcome, Save, UnknownInput, by_type, first
from comfyfarm.sim.nodes.limits import check_outcome, count_characters, list_value
from comfyfarm.sim.nodes.staged import run_staged
from comfyfarm.sim.values import ListValue, Picture

Rule = Callable[[NodeCall], NodeOutcome]

# The exceptions that Python raises for bad input values.  A TypeError or a KeyError would be a bug in a rule.
_BAD_VALUE = (ArithmeticError, MemoryError, RecursionError, SyntaxError, SystemError, ValueError, re.error)


@dataclass(frozen=True)
class _Entry:
    rule: Rule
    takes_lists: bool = False
    lazy: Callable[[NodeCall], str] | None = None


_SAVED = ("images", "samples", "mask", "svg", "audio", "video")     # inputs of nodes that save
_table: dict[str, _Entry] = {}


def rule(
    *class_types: str, takes_lists: bool = False, lazy: Callable[[NodeCall], str] | None = None
) -> Callable[[Rule], Rule]:
    """Register a function as the rule of these node types.

    :param takes_lists: call the rule once with whole lists, instead of once per item.
    :param lazy: returns the only lazy input that the node needs.
    """

    def add(function: Rule) -> Rule:
        _table.update(dict.fromkeys(class_types, _Entry(function, takes_lists, lazy)))
        return function

    return add


def known_types() -> frozenset[str]:
    return frozenset(_table)


def lazy_choice(class_type: str) -> Callable[[NodeCall], str] | None:
    """Return the function that names the only lazy input that a node needs; ``None`` if it needs all its inputs."""
    entry = _table.get(class_type)
    return entry.lazy if entry is not None else None


def run(call: NodeCall) -> NodeOutcome:
    """Return the outcome of a node.

    :raises NodeError: if the real node would raise.
    """
    entry = _table.get(call.class_type, _UNKNOWN)
    if call.shown is not None:
        entry = _Entry(partial(run_staged, shows=call.shown))
    try:
        if entry.takes_lists or ListValue not in map(type, call.inputs.values()):
            return _passing_on(_run_once(entry.rule, call), call)
        return _passing_on(check_outcome(_run_per_item(entry.rule, call)), call)
    except _BAD_VALUE as error:
        raise NodeError.of(error) from error


def _passing_on(outcome: NodeOutcome, call: NodeCall) -> NodeOutcome:
    """Add the output that nodes which save or preview have since ComfyUI 0.26: what they were given."""
    if outcome.values or not (call.shows and call.outputs):
        return outcome
    given = (call.inputs[name] for name in _SAVED if name in call.inputs)
    return replace(outcome, values=(next(given, None),))


def _run_once(function: Rule, call: NodeCall) -> NodeOutcome:
    try:
        outcome = check_outcome(function(call))
    except UnknownInput:
        return NodeOutcome((None,))
    count_characters(call, outcome)
    return outcome


def _pass_through(call: NodeCall) -> NodeOutcome:
    """Handle a node type without a rule: save its pictures if it shows something, else pass its inputs on by type."""
    picture = first(call, Picture)
    if call.shows and (picture is not None or not call.outputs):
        prefix = call.word("filename_prefix", "ComfyUI")
        return NodeOutcome(saves=(Save(picture or Picture(*call.size), "output", prefix),))
    return NodeOutcome(by_type(call) or (picture,))


_UNKNOWN = _Entry(_pass_through)


def _run_per_item(function: Rule, call: NodeCall) -> NodeOutcome:
    """Run a node as often as its longest list has items; shorter lists repeat their last item, as in ComfyUI."""
    times = max(len(value.items) for value in call.inputs.values() if isinstance(value, ListValue))
    outcomes = [_run_once(function, _call_with_item(call, index)) for index in range(times)]
    slots = zip_longest(*(outcome.values for outcome in outcomes))
    return _merged(outcomes, tuple(list_value(slot) for slot in slots))


def _call_with_item(call: NodeCall, index: int) -> NodeCall:
    return replace(call, inputs={name: _item(value, index) for name, value in call.inputs.items()})


def _item(value: Any, index: int) -> Any:
    return value.items[min(index, len(value.items) - 1)] if isinstance(value, ListValue) else value


def _merged(outcomes: list[NodeOutcome], values: tuple[Any, ...]) -> NodeOutcome:
    uis = [outcome.ui for outcome in outcomes if outcome.ui is not None]
    keys = dict.fromkeys(key for ui in uis for key in ui)
    pictures = [outcome.sends for outcome in outcomes if outcome.sends is not None]
    return NodeOutcome(
        values=values,
        steps=sum(outcome.steps for outcome in outcomes),
        latent=next((outcome.latent for outcome in outcomes if outcome.latent is not None), None),
        saves=tuple(save for outcome in outcomes for save in outcome.saves),
        sends=pictures[0].showing(look for picture in pictures for look in picture.looks) if pictures else None,
        ui={key: [item for ui in uis for item in ui.get(key, ())] for key in keys} if uis else None,
        text=outcomes[-1].text,
    )
