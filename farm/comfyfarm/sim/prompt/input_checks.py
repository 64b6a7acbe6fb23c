"""The checks of one input's value: its type, its bounds, its list of choices, the file it names.

The texts are those of docs/fidelity.md, "Validation".
"""

from typing import Any

from comfyfarm.sim.catalogue.catalogue import Catalogue
from comfyfarm.sim.catalogue.node_types import Input

Problem = dict[str, Any]

_MESSAGES = {
    "bad_linked_input": "Bad linked input, must be a length-2 list of [node_id, slot_index]",
    "custom_validation_failed": "Custom validation failed for node",
    "dependency_cycle": "Dependency cycle detected",
    "exception_during_inner_validation": "Exception when validating inner node",
    "exception_during_validation": "Exception when validating node",
    "required_input_missing": "Required input is missing",
    "return_type_mismatch": "Return type mismatch between linked nodes",
    "value_not_in_list": "Value not in list",
}
_CONVERT = {"INT": int, "FLOAT": float, "STRING": str, "BOOLEAN": bool}
_LONG_LIST = 20     # ComfyUI does not repeat longer lists


def problem(kind: str, details: str, *, message: str = "", **extra_info: object) -> Problem:
    """Return an entry of a node's ``errors``.

    :param message: if it depends on the value; else it follows from ``kind``.
    """
    return {"type": kind, "message": message or _MESSAGES[kind], "details": details, "extra_info": extra_info}


def check_value(class_type: str, declared: Input, value: Any, catalogue: Catalogue, problems: list[Problem]) -> Any:
    """Convert a constant to its declared type, and check its bounds and choices.

    Adds to ``problems``, and returns the value that is stored in the prompt.
    """
    if isinstance(value, dict) and "__value__" in value:
        value = value["__value__"]
    convert = _CONVERT.get(declared.type)
    if convert is not None:
        try:
            value = convert(value)
        except (TypeError, ValueError, OverflowError) as error:
            problems.append(_not_converted(declared, value, error))
            return value
    if catalogue.file_kind(class_type, declared.name) is not None:
        return value    # the node's own validator checks it
    _check_bounds(declared, value, problems)
    if declared.type == "COMBO":
        _check_choice(class_type, declared, value, catalogue, problems)
    return value


def _not_converted(declared: Input, value: Any, error: Exception) -> Problem:
    return problem(
        "invalid_input_type",
        f"{declared.name}, {value}, {error}",
        message=f"Failed to convert an input value to a {declared.type} value",
        input_name=declared.name,
        input_config=declared.config,
        received_value=value,
        exception_message=str(error),
    )


def _check_bounds(declared: Input, value: Any, problems: list[Problem]) -> None:
    facts = {"input_name": declared.name, "input_config": declared.config, "received_value": value}
    options = declared.options
    if "min" in options and value < options["min"]:
        message = f"Value {value} smaller than min of {options['min']}"
        problems.append(problem("value_smaller_than_min", declared.name, message=message, **facts))
    if "max" in options and value > options["max"]:
        message = f"Value {value} bigger than max of {options['max']}"
        problems.append(problem("value_bigger_than_max", declared.name, message=message, **facts))


def _check_choice(class_type: str, declared: Input, value: Any, catalogue: Catalogue, problems: list[Problem]) -> None:
    if catalogue.takes_choice(class_type, declared.name, value):
        return
    choices = catalogue.choices(class_type, declared)
    if choices is None or value in choices:
        return
    long = len(choices) > _LONG_LIST
    offered = f"(list of length {len(choices)})" if long else f"{choices}"
    received = repr(value) if catalogue.behaviour.quotes_by_type else f"'{value}'"
    problems.append(
        problem(
            "value_not_in_list",
            f"{declared.name}: {received} not in {offered}",
            input_name=declared.name,
            input_config=None if long else catalogue.config(class_type, declared),
            received_value=value,
        )
    )


def check_files(class_type: str, inputs: dict[str, Any], catalogue: Catalogue, problems: list[Problem]) -> None:
    """Check that the input files exist that a node names, as its own validator does."""
    if catalogue.validation == "lenient":
        return
    for name, value in inputs.items():
        kind = catalogue.file_kind(class_type, name)
        if kind is None or isinstance(value, list):
            continue
        # A value that is no string has no ``endswith``; ComfyUI sends this error to the client.
        if not catalogue.has_file(value):
            details = f"{name} - Invalid {kind} file: {value}"
            problems.append(problem("custom_validation_failed", details, input_name=name))
