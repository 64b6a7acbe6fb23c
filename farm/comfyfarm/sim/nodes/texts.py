"""Nodes that make a text of texts."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from string import Formatter
from typing import Any

from comfyfarm.sim.nodes.call import NodeCall, NodeError
from comfyfarm.sim.nodes.limits import bounded_text, several
from comfyfarm.sim.nodes.outcome import NodeOutcome
from comfyfarm.sim.nodes.table import rule

_Change = Callable[[str], str]


@rule("PrimitiveString", "PrimitiveStringMultiline")
def _primitive(call: NodeCall) -> NodeOutcome:
    return NodeOutcome(values=(call.inputs.get("value"),))


@rule("StringConcatenate")
def _concatenate(call: NodeCall) -> NodeOutcome:
    one, two, delimiter = call.text("string_a"), call.text("string_b"), call.text("delimiter", "")
    if one is None or two is None or delimiter is None:
        return NodeOutcome(values=(None,))
    return _text(one + delimiter + two)


@rule("StringSubstring")
def _substring(call: NodeCall) -> NodeOutcome:
    start, end = call.integer("start", 0), call.integer("end", 0)
    return _changed(call, lambda text: text[start:end])


@rule("StringLength")
def _length(call: NodeCall) -> NodeOutcome:
    text = call.text("string")
    return NodeOutcome(values=(None if text is None else len(text),))


@rule("CaseConverter")
def _case(call: NodeCall) -> NodeOutcome:
    changes: dict[str, _Change] = {
        "UPPERCASE": str.upper,
        "lowercase": str.lower,
        "Capitalize": str.capitalize,
        "Title Case": str.title,
    }
    return _changed(call, changes.get(call.word("mode"), str))


@rule("StringTrim")
def _trim(call: NodeCall) -> NodeOutcome:
    changes: dict[str, _Change] = {"Both": str.strip, "Left": str.lstrip, "Right": str.rstrip}
    return _changed(call, changes.get(call.word("mode"), str))


@rule("StringReplace")
def _replace(call: NodeCall) -> NodeOutcome:
    return _replaced(call, "string")


@rule("ReplaceText")
def _replace_in_dataset(call: NodeCall) -> NodeOutcome:
    return _replaced(call, "texts")


@rule("StringContains")
def _contains(call: NodeCall) -> NodeOutcome:
    text, part = _cased(call, "string"), _cased(call, "substring")
    return NodeOutcome(values=(None if text is None or part is None else part in text,))


@rule("StringCompare")
def _compare(call: NodeCall) -> NodeOutcome:
    one, two = _cased(call, "string_a"), _cased(call, "string_b")
    compares = {"Starts With": str.startswith, "Ends With": str.endswith}
    compare = compares.get(call.word("mode"), str.__eq__)
    return NodeOutcome(values=(None if one is None or two is None else compare(one, two),))


@rule("JsonExtractString")
def _json_extract(call: NodeCall) -> NodeOutcome:
    """One member of an object as a text; an empty one where there is none, or no JSON."""
    text, key = call.text("json_string"), call.text("key")
    if text is None or key is None:
        return NodeOutcome(values=(None,))
    try:
        data = json.loads(text)
    except json.JSONDecodeError:
        data = None
    value = data.get(key) if isinstance(data, dict) else None
    return _text("" if value is None else str(value))


@rule("StringFormat")
def _format(call: NodeCall) -> NodeOutcome:
    """Python's format strings, whose fields are the names ``a`` to ``z``."""
    template = call.text("f_string", "{a}")
    return NodeOutcome(values=(None if template is None else _formatted(template, call.group("values")),))


@rule("TextToLowercase")
def _lower(call: NodeCall) -> NodeOutcome:
    return _changed(call, str.lower, "texts")


@rule("TextToUppercase")
def _upper(call: NodeCall) -> NodeOutcome:
    return _changed(call, str.upper, "texts")


@rule("StripWhitespace")
def _strip(call: NodeCall) -> NodeOutcome:
    return _changed(call, str.strip, "texts")


@rule("TruncateText")
def _truncate(call: NodeCall) -> NodeOutcome:
    length = call.integer("max_length", 77)
    return _changed(call, lambda text: text[:length], "texts")


@rule("AddTextPrefix", "AddTextSuffix")
def _add(call: NodeCall) -> NodeOutcome:
    head, tail = call.text("prefix", ""), call.text("suffix", "")
    if head is None or tail is None:
        return NodeOutcome(values=(None,))
    return _changed(call, lambda text: head + text + tail, "texts")


@rule("MergeTextLists", takes_lists=True)
def _merge(call: NodeCall) -> NodeOutcome:
    return NodeOutcome(values=(several(call.items("texts")),))


@rule("TextGenerate", "TextGenerateLTX2Prompt")
def _generate(call: NodeCall) -> NodeOutcome:
    """What a language model would say is not known; its prompt stands for it."""
    return NodeOutcome(values=(call.text("prompt", ""),))


def _text(text: str) -> NodeOutcome:
    bounded_text(len(text))
    return NodeOutcome(values=(text,))


def _changed(call: NodeCall, change: _Change, name: str = "string") -> NodeOutcome:
    text = call.text(name)
    return NodeOutcome(values=(None,)) if text is None else _text(change(text))


def _cased(call: NodeCall, name: str) -> str | None:
    text = call.text(name)
    return text if text is None or call.flag("case_sensitive", default=True) else text.lower()


def _replaced(call: NodeCall, name: str) -> NodeOutcome:
    text, find, replace = call.text(name), call.text("find", ""), call.text("replace", "")
    if text is None or find is None or replace is None:
        return NodeOutcome(values=(None,))
    bounded_text(len(text) + text.count(find) * (len(replace) - len(find)))
    return _text(text.replace(find, replace))


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
        known = name and not name.isdecimal()
        raise NodeError("KeyError", repr(name)) if known else NodeError(
            "IndexError", f"Replacement index {name or 0} out of range for positional args tuple"
        )
    for number in re.findall(r"[0-9]+", spec):
        bounded_text(int(number[:18]))
    convert: dict[str | None, Callable[[Any], str]] = {"r": repr, "a": ascii, "s": str}
    value = convert[conversion](values[name]) if conversion in convert else values[name]
    try:
        return format(value, spec)
    except TypeError as error:
        raise NodeError("TypeError", str(error)) from error
