"""Constants in sockets: the errors that real nodes raise when they use one as a picture, a model and so on.

What the nodes of a real server do first with their inputs was recorded (``scripts/make_socket_uses``).  Here the same
is done with the constant, whatever it is.  The texts are those of Python 3.11, which other versions of Python change.
"""

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

from comfyfarm.sim.catalogue.dynamic_inputs import declared_inputs
from comfyfarm.sim.catalogue.socket_uses import Errors, SocketUses
from comfyfarm.sim.catalogue.type_facts import TypeFacts
from comfyfarm.sim.nodes.call import NodeError
from comfyfarm.sim.prompt.workflow import Links

_STEP = re.compile(r"\.(?P<attribute>\w+)|\[(?P<key>.*?)\]|(?P<word>\*|len|in|call|json)")
_KINDS = {type(None): "null", bool: "number", int: "number", float: "number", str: "text", dict: "object"}


def check_call(
    facts: TypeFacts, inputs: Mapping[str, Any], links: Links, *, may_lack_inputs: bool = False
) -> None:
    """Call the function of a node of a known type as far as the recorded facts of its calls go.

    :param inputs: as in the prompt: links and constants.
    :param links: those of them that are links.
    :param may_lack_inputs: what is missing counts as given, as in lenient validation.
    :raises NodeError: if the call fails.
    """
    node_type, uses = facts.node_type, facts.uses
    if node_type is None or uses is None:
        return
    if unexpected := undeclared_links(facts, inputs, links):
        raise NodeError("TypeError", f"{_function(facts)} got an unexpected keyword argument '{unexpected[0]}'")
    if facts.needed and not may_lack_inputs and not inputs.keys() >= facts.needed:
        missing = [name for name in uses.needs if name in facts.needed and name not in inputs]
        raise _lacks_arguments(_function(facts), missing)
    if not links.keys() >= facts.used:
        _check_uses(uses, inputs, {name: value for name, value in inputs.items() if name not in links})


def _function(facts: TypeFacts) -> str:
    recorded = facts.uses.function if facts.uses is not None else ""
    return recorded or f"{facts.name}.execute()"


def _check_uses(facts: SocketUses, inputs: Mapping[str, Any], constants: Mapping[str, Any]) -> None:
    for use in facts.uses:
        if isinstance(use.steps, str) and use.steps.startswith("+"):
            _add(constants.get(use.input, []), constants.get(use.steps[1:], []))
        elif use.input not in constants or (use.unless_null and constants[use.input] is None):
            continue
        elif not use.given or any(inputs.get(name) is not None for name in use.given):
            _apply(use.steps, constants[use.input])


def _lacks_arguments(function: str, names: list[str]) -> NodeError:
    missing = [f"'{name}'" for name in names]
    plural = "s" if len(missing) > 1 else ""
    text = missing[0] if len(missing) == 1 else f"{', '.join(missing[:-1])} and {missing[-1]}"
    return NodeError("TypeError", f"{function} missing {len(missing)} required positional argument{plural}: {text}")


def undeclared_links(facts: TypeFacts, inputs: Mapping[str, Any], links: Links) -> list[str]:
    """Return the linked inputs that the node type does not declare; ComfyUI passes them to its function all the same.

    There is none of an unknown type.
    """
    node_type = facts.node_type
    if node_type is None or (facts.names is not None and links.keys() <= facts.names):
        return []
    unknown = [name for name in links if name not in node_type.hidden and name not in node_type.inputs]
    declared = {own.name for own in declared_inputs(node_type, inputs)} if unknown else ()
    return [name for name in unknown if name not in declared]


def _apply(steps: str | Errors, value: Any) -> None:
    if isinstance(steps, str):
        _walk(list(_STEP.finditer(steps)), value)
    elif recorded := steps.get(_KINDS.get(type(value), "list"), steps.get("any")):
        message = recorded[1].replace("{kind}", type(value).__name__).replace("{value}", repr(value))
        raise NodeError(recorded[0], message)


def _walk(steps: list[re.Match[str]], value: Any) -> None:
    if not steps:
        return
    step, rest = steps[0], steps[1:]
    if step["attribute"]:
        if not hasattr(value, step["attribute"]):
            raise NodeError("AttributeError", f"'{_kind(value)}' object has no attribute '{step['attribute']}'")
        return      # Python goes on with a value that is not known here
    if step["word"] == "*":
        for item in _container(value, "'{}' object is not iterable"):
            _walk(rest, item)
    elif step["word"]:
        _WORDS[step["word"]](value)
        _walk(rest, value)
    else:
        _walk(rest, _item(value, step["key"]))


def _kind(value: object) -> str:
    return type(value).__name__


def _container(value: Any, message: str) -> Any:
    if not isinstance(value, str | dict | list):
        raise NodeError("TypeError", message.format(_kind(value)))
    return value


def _item(value: Any, key: str) -> Any:
    """Return an item of a constant, as square brackets do."""
    _container(value, "'{}' object is not subscriptable")
    if isinstance(value, dict):
        return _item_of_object(value, key)
    if key == ":":
        return value
    if not key.isdigit():
        kind = "tuple" if key == "," else "str"
        if isinstance(value, str):
            raise NodeError("TypeError", f"string indices must be integers, not '{kind}'")
        raise NodeError("TypeError", f"list indices must be integers or slices, not {kind}")
    if int(key) >= len(value):
        raise NodeError("IndexError", f"{'string' if isinstance(value, str) else 'list'} index out of range")
    return value[int(key)]


def _item_of_object(value: dict[str, Any], key: str) -> Any:
    if key in (":", ","):
        raise NodeError("TypeError", "unhashable type: 'slice'")
    if key.isdigit() or key not in value:
        raise NodeError("KeyError", key if key.isdigit() else repr(key))
    return value[key]


def _add(left: Any, right: Any) -> None:
    if isinstance(left, str | list) and type(left) is not type(right):
        kind = _kind(left)
        raise NodeError("TypeError", f'can only concatenate {kind} (not "{_kind(right)}") to {kind}')
    if not isinstance(left, str | list | int | float) or not isinstance(right, type(left) | int | float):
        kinds = f"'{_kind(left)}' and '{_kind(right)}'"
        raise NodeError("TypeError", f"unsupported operand type(s) for +: {kinds}")


def _call(value: Any) -> None:
    raise NodeError("TypeError", f"'{_kind(value)}' object is not callable")


def _parse(value: Any) -> None:
    try:
        json.loads(value or "null")
    except ValueError as error:
        raise NodeError("json.decoder.JSONDecodeError", str(error)) from error


_WORDS: dict[str, Callable[[Any], Any]] = {
    "call": _call,
    "in": lambda value: _container(value, "argument of type '{}' is not iterable"),
    "json": _parse,
    "len": lambda value: _container(value, "object of type '{}' has no len()"),
}
