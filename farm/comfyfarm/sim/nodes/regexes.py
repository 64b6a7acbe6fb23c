r"""Nodes that search texts with regular expressions.

ComfyUI uses Python's ``re``, which takes for ever on some patterns and texts: a real server then hangs in that node.
Here such a search gives a value that nobody knows.  ``re`` cannot be stopped, so there are two ways to search:

- ``re`` itself, if few steps are possible at all, by the pattern's characters and the text's length.  That holds for
  most patterns on texts as long as a prompt, and depends on nothing but both.
- Otherwise the package ``regex``, which stops at its ``timeout``.  That is CPU time, so a busy machine changes nothing,
  a slow one may; but hardly any pattern comes near it, as ``regex`` recognizes most of the slow ones.  It finds what
  ``re`` finds, except that its ``\w`` takes combining marks and leaves out ``½`` and ``²``, and that ``x{e}`` and
  ``[[:alpha:]]`` have a meaning.

Whether a pattern or a replacement is valid, and the words of the error, are always those of ``re``.
"""

from __future__ import annotations

import math
import re
import warnings
from collections.abc import Callable, Iterator
from functools import wraps
from itertools import islice
from typing import Any, NamedTuple

import regex

from comfyfarm.sim.nodes.call import NodeCall, NodeError
from comfyfarm.sim.nodes.limits import bounded_text
from comfyfarm.sim.nodes.outcome import NodeOutcome
from comfyfarm.sim.nodes.table import rule

_MOST_STEPS = 3 * 10**7         # counted high: about 50 ms at the most
_TIMEOUT_S = 0.1
# Two things that ``regex`` does before its timeout counts: it writes out the body of ``{n}`` n times, and it prepares
# the search for a long literal in more than linear time.
_MOST_COPIES = 10_000
_LONGEST_PATTERN = 500


class _Unknown(Exception):
    """The pattern or the text is not known, or the pattern is too big."""


class _Search(NamedTuple):
    """A pattern, compiled by either package, and what its methods are given besides the text."""

    pattern: re.Pattern[str]
    text: str
    limits: dict[str, Any]

    @property
    def finds(self) -> Iterator[re.Match[str]]:
        return self.pattern.finditer(self.text, **self.limits)


def _unknown_if_slow(node_rule: Callable[[NodeCall], NodeOutcome]) -> Callable[[NodeCall], NodeOutcome]:
    @wraps(node_rule)
    def run(call: NodeCall) -> NodeOutcome:
        try:
            return node_rule(call)
        except (_Unknown, TimeoutError, regex.error):
            return NodeOutcome(values=(None,))

    return run


@rule("RegexMatch")
@_unknown_if_slow
def _match(call: NodeCall) -> NodeOutcome:
    """A pattern that is none matches nothing."""
    try:
        return NodeOutcome(values=(next(_search(call).finds, None) is not None,))
    except re.error:
        return NodeOutcome(values=(False,))


@rule("RegexExtract")
@_unknown_if_slow
def _extract(call: NodeCall) -> NodeOutcome:
    """Several finds stand on lines of their own; a pattern that is none finds nothing."""
    try:
        search = _search(call)
    except re.error:
        return NodeOutcome(values=("",))
    mode = call.word("mode", "First Match")
    group = call.integer("group_index", 1) if mode.endswith(("Group", "Groups")) else 0
    found = (find[group] or "" for find in search.finds) if 0 <= group <= search.pattern.groups else iter(())
    text = "\n".join(found) if mode.startswith("All") else next(found, "")
    bounded_text(len(text))
    return NodeOutcome(values=(text,))


@rule("RegexReplace")
@_unknown_if_slow
def _replace(call: NodeCall) -> NodeOutcome:
    search, template = _search(call), call.text("replace", "")
    if template is None:
        raise _Unknown
    return NodeOutcome(values=(_substituted(search, template, call.integer("count", 0)),))


def _search(call: NodeCall) -> _Search:
    pattern, text = call.text("regex_pattern"), call.text("string")
    if pattern is None or text is None or len(pattern) > _LONGEST_PATTERN:
        raise _Unknown
    flags = re.IGNORECASE if call.flag("case_insensitive", default=True) else re.NOFLAG
    flags |= re.MULTILINE if call.flag("multiline", default=False) else re.NOFLAG
    flags |= re.DOTALL if call.flag("dotall", default=False) else re.NOFLAG
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")     # Python's advice about the pattern is for its author
        compiled = re.compile(pattern, flags)
        if _is_fast(pattern, text):
            return _Search(compiled, text, {})
        return _Search(_stoppable(pattern, int(flags)), text, {"timeout": _TIMEOUT_S})


def _is_fast(pattern: str, text: str) -> bool:
    """Whether ``re`` is sure to end soon: each repeat may end at any place of the text, each ``?`` or ``|`` doubles.

    A repeated group, a reference to a group, and what can hide a repeated group (comments, ``x``) have no such bound.
    """
    if re.search(r"\)[*+{]|\\\d|\(\?(P=|#|[A-Za-z]*x)", pattern):
        return False
    repeats, choices = (sum(map(pattern.count, signs)) for signs in ("*+{", "?|"))
    steps: int = len(pattern) * 2**choices * (len(text) + 1) ** (repeats + 1)
    return steps <= _MOST_STEPS


def _stoppable(pattern: str, flags: int) -> Any:
    counts = re.findall(r"(?<=[{,])\d+(?=[,}])", pattern)
    if math.prod(max(1, int(count)) for count in counts) > _MOST_COPIES:
        raise _Unknown
    return regex.compile(pattern, flags | regex.VERSION0)


def _substituted(search: _Search, template: str, count: int) -> str:
    """As ``re.sub``, unless the text could grow out of all measure: each backslash may stand for a whole find."""
    length, references = len(search.text), template.count("\\")
    for find in islice(search.finds, count if count > 0 else None):
        length += len(template) + references * max(len(part) for part in (*find.groups(""), find[0]))
        bounded_text(length)
    _check(search.pattern, template)
    return search.pattern.sub(template, search.text, max(0, count), **search.limits)


def _check(pattern: re.Pattern[str], template: str) -> None:
    """Try a template on a pattern of ``re`` that has the same groups and nothing in them.

    :raises re.error: if it is wrong.
    :raises NodeError: if it names a group that is not there.
    """
    names = {number: f"?P<{name}>" for name, number in pattern.groupindex.items()}
    try:
        re.sub("".join(f"({names.get(number, '')})" for number in range(1, pattern.groups + 1)), template, "")
    except IndexError as error:
        raise NodeError("IndexError", str(error)) from error
