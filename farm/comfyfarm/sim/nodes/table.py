"""The table of node rules, and how one of them is run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from itertools import zip_longest
from typing import Any

from comfyfarm.sim.nodes.call import NodeCall, raising_as_python
from comfyfarm.sim.nodes.limits import affordable, several
from comfyfarm.sim.nodes.outcome import NodeOutcome, merged
from comfyfarm.sim.nodes.passing import pass_through
from comfyfarm.sim.values import ListValue

Rule = Callable[[NodeCall], NodeOutcome]


@dataclass(frozen=True)
class _Entry:
    rule: Rule
    takes_lists: bool = False


@dataclass
class _Table:
    entries: dict[str, _Entry] = field(default_factory=dict)


_TABLE = _Table()
_UNKNOWN = _Entry(pass_through)


def rule(*class_types: str, takes_lists: bool = False) -> Callable[[Rule], Rule]:
    """Make a function the rule of these node types.

    :param takes_lists: it is asked once with the whole list; another rule is asked for each item of a list.
    """

    def add(function: Rule) -> Rule:
        _TABLE.entries.update(dict.fromkeys(class_types, _Entry(function, takes_lists)))
        return function

    return add


def known_types() -> frozenset[str]:
    """The node types that have a rule."""
    return frozenset(_TABLE.entries)


def run(call: NodeCall) -> NodeOutcome:
    """Say what a node makes of its inputs.

    :raises NodeError: where the real node would raise.
    """
    entry = _TABLE.entries.get(call.class_type, _UNKNOWN)
    with raising_as_python():
        if entry.takes_lists or not any(isinstance(value, ListValue) for value in call.inputs.values()):
            return affordable(entry.rule(call))
        return affordable(_run_for_each(entry.rule, call))


def _run_for_each(function: Rule, call: NodeCall) -> NodeOutcome:
    """ComfyUI runs a node once for each item of its longest list; a shorter list repeats its last item."""
    times = max(len(value.items) for value in call.inputs.values() if isinstance(value, ListValue))
    outcomes = [affordable(function(_nth(call, index))) for index in range(times)]
    slots = zip_longest(*(outcome.values for outcome in outcomes))
    return merged(outcomes, tuple(several(slot) for slot in slots))


def _nth(call: NodeCall, index: int) -> NodeCall:
    return replace(call, inputs={name: _item(value, index) for name, value in call.inputs.items()})


def _item(value: Any, index: int) -> Any:
    return value.items[min(index, len(value.items) - 1)] if isinstance(value, ListValue) else value
