"""Nodes that transform texts."""

import json
import re
from collections.abc import Callable, Mapping
from string import Formatter
from typing import Any

from comfyfarm.sim.nodes.call import NodeCall, NodeError, NodeOutcome, outcome
from comfyfarm.sim.nodes.limits import bounded_text, list_value
from comfyfarm.sim.nodes.table import rule

_Change = Callable[[str], str]


@rule("StringConcatenate")
def _concatenate(call: NodeCall) -> NodeOutcome:
    return _text(call.known_text("string_a") + call.known_text("delimiter", "") + call.known_text("string_b"))


@rule("StringSubstring")
def _substring(call: NodeCall) -> NodeOutcome:
    start, end = call.integer("start", 0), call.integer("end", 0)
    return _changed(call, lambda text: text[start:end])


@rule("StringLength")
def _length(call: NodeCall) -> NodeOutcome:
    return outcome(len(call.known_text("string")))


_MODES: dict[str, dict[str, _Change]] = {
    "CaseConverter": {
        "Capitalize": str.capitalize,
        "Title Case": str.title,
        "UPPERCASE": str.upper,
        "lowercase": str.lower,
    },
    "StringTrim": {"Both": str.strip, "Left": str.lstrip, "Right": str.rstrip},
}


@rule(*_MODES)
def _change(call: NodeCall) -> NodeOutcome:
    return _changed(call, _MODES[call.class_type].get(call.word("mode"), str))


_DATASET_CHANGES: dict[str, _Change] = {
    "StripWhitespace": str.strip,
    "TextToLowercase": str.lower,
    "TextToUppercase": str.upper,
}


@rule(*_DATASET_CHANGES)
def _change_dataset(call: NodeCall) -> NodeOutcome:
    return _changed(call, _DATASET_CHANGES[call.class_type], "texts")


@rule("StringReplace", "ReplaceText")
def _replace(call: NodeCall) -> NodeOutcome:
    text = call.known_text("string" if call.class_type == "StringReplace" else "texts")
    find, replacement = call.known_text("find", ""), call.known_text("replace", "")
    bounded_text(len(text) + text.count(find) * (len(replacement) - len(find)))
    return _text(text.replace(find, replacement))


@rule("StringContains")
def _contains(call: NodeCall) -> NodeOutcome:
    return outcome(_cased(call, "substring") in _cased(call, "string"))


@rule("StringCompare")
def _compare(call: NodeCall) -> NodeOutcome:
    compares = {"Starts With": str.startswith, "Ends With": str.endswith}
    compare = compares.get(call.word("mode"), str.__eq__)
    return outcome(compare(_cased(call, "string_a"), _cased(call, "string_b")))


@rule("JsonExtractString")
def _json_extract(call: NodeCall) -> NodeOutcome:
    """The text is empty if there is no such member, or if it is not a JSON object."""
    text, key = call.known_text("json_string"), call.known_text("key")
    try:
        data = json.loads(text)
    except json.JSONDecodeError:
        data = None
    value = data.get(key) if isinstance(data, dict) else None
    return _text("" if value is None else str(value))


@rule("StringFormat")
def _format(call: NodeCall) -> NodeOutcome:
    """The fields of the template are the names ``a`` to ``z``."""
    return outcome(_formatted(call.known_text("f_string", "{a}"), call.group("values")))


@rule("TruncateText")
def _truncate(call: NodeCall) -> NodeOutcome:
    length = call.integer("max_length", 77)
    return _changed(call, lambda text: text[:length], "texts")


@rule("AddTextPrefix", "AddTextSuffix")
def _add(call: NodeCall) -> NodeOutcome:
    head, tail = call.known_text("prefix", ""), call.known_text("suffix", "")
    return _changed(call, lambda text: head + text + tail, "texts")


@rule("MergeTextLists", takes_lists=True)
def _merge(call: NodeCall) -> NodeOutcome:
    return outcome(list_value(call.items("texts")))


@rule("TextGenerate", "TextGenerateLTX2Prompt")
def _generate(call: NodeCall) -> NodeOutcome:
    return outcome(call.text("prompt", ""))         # in place of the unknown text of a language model


def _text(text: str) -> NodeOutcome:
    bounded_text(len(text))
    return outcome(text)


def _changed(call: NodeCall, change: _Change, name: str = "string") -> NodeOutcome:
    return _text(change(call.known_text(name)))


def _cased(call: NodeCall, name: str) -> str:
    text = call.known_text(name)
    return text if call.flag("case_sensitive", default=True) else text.lower()


def _formatted(template: str, values: Mapping[str, Any]) -> str:
    parts: list[str] = []
    length = 0
    for literal, name, spec, conversion in Formatter().parse(template):
        parts.append(literal)
        if name is not None:
            parts.append(_field(values, name, spec or "", conversion))
        length += sum(map(len, parts[-2:]))
        bounded_text(length)
    return "".join(parts)


def _field(values: Mapping[str, Any], name: str, spec: str, conversion: str | None) -> str:
    if name not in values:
        if name and not name.isdecimal():
            raise NodeError("KeyError", repr(name))
        raise NodeError("IndexError", f"Replacement index {name or 0} out of range for positional args tuple")
    for number in re.findall(r"[0-9]+", spec):
        bounded_text(int(number[:18]))
    convert: dict[str | None, Callable[[Any], str]] = {"r": repr, "a": ascii, "s": str}
    value = convert[conversion](values[name]) if conversion in convert else values[name]
    try:
        return format(value, spec)
    except TypeError as error:
        raise NodeError("TypeError", str(error)) from error
