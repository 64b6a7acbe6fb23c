"""Nodes that search texts with regular expressions.

They use Python's ``re``, as ComfyUI does, and so share its trap: some patterns take for ever on some texts.  A real
server then hangs in that node; we must not, so a pattern whose worst case is too long gives a value that nobody knows.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from itertools import islice

from .call import Call
from .limits import bounded_text
from .outcome import Outcome
from .regex_cost import could_take_long
from .table import rule

__all__: list[str] = []

_UNKNOWN = Outcome(values=(None,))


@rule("RegexMatch")
def _match(call: Call) -> Outcome:
    """A pattern that is none matches nothing."""
    try:
        search = _search(call)
    except re.error:
        return Outcome(values=(False,))
    return _UNKNOWN if search is None else Outcome(values=(search[0].search(search[1]) is not None,))


@rule("RegexExtract")
def _extract(call: Call) -> Outcome:
    """Several finds stand on lines of their own; a pattern that is none finds nothing."""
    try:
        search = _search(call)
    except re.error:
        return Outcome(values=("",))
    if search is None:
        return _UNKNOWN
    mode = call.word("mode", "First Match")
    group = call.integer("group_index", 1) if mode.endswith(("Group", "Groups")) else 0
    found = _found(*search, group)
    text = "\n".join(found) if mode.startswith("All") else next(found, "")
    bounded_text(len(text))
    return Outcome(values=(text,))


@rule("RegexReplace")
def _replace(call: Call) -> Outcome:
    search, template = _search(call), call.text("replace", "")
    if search is None or template is None:
        return _UNKNOWN
    return Outcome(values=(_substituted(*search, template, call.integer("count", 0)),))


def _search(call: Call) -> tuple[re.Pattern[str], str] | None:
    """The pattern and the text to search; ``None`` where one is not known, or they could keep us too long."""
    pattern, text = call.text("regex_pattern"), call.text("string")
    if pattern is None or text is None:
        return None
    flags = re.IGNORECASE if call.flag("case_insensitive", default=True) else re.NOFLAG
    flags |= re.MULTILINE if call.flag("multiline", default=False) else re.NOFLAG
    flags |= re.DOTALL if call.flag("dotall", default=False) else re.NOFLAG
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")     # Python's advice about the pattern is for its author
        return None if could_take_long(pattern, flags, text) else (re.compile(pattern, flags), text)


def _found(pattern: re.Pattern[str], text: str, group: int) -> Iterator[str]:
    """What a group of the pattern holds, at each find."""
    if 0 <= group <= pattern.groups:
        yield from (match[group] or "" for match in pattern.finditer(text))


def _substituted(pattern: re.Pattern[str], text: str, template: str, count: int) -> str:
    """As ``re.sub``, unless the text could grow out of all measure: each backslash may stand for a whole find."""
    length, references = len(text), template.count("\\")
    for match in islice(pattern.finditer(text), count if count > 0 else None):
        longest = max(len(part) for part in (*match.groups(""), match[0]))
        length += len(template) + references * longest
        bounded_text(length)
    return pattern.sub(template, text, max(0, count))
