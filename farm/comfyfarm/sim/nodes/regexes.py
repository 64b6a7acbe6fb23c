r"""Nodes that search texts with regular expressions.

ComfyUI uses Python's ``re``, which never returns for some patterns and texts; a real server hangs in that node.  Here
such a search gives an unknown value.  ``re`` cannot be stopped, so there are two ways to search:

- With ``re`` itself, if the pattern's characters and the text's length bound the number of steps.  That holds for
  most patterns on texts of the length of a prompt.
- Otherwise with the package ``regex``, which stops at its ``timeout``.  That is CPU time, so load on the machine does
  not matter, but its speed might; in practice ``regex`` handles most of the slow patterns fast.  After two searches
  that were stopped the job makes no more of these: a list may have thousands of texts.  ``regex`` finds the same as
  ``re``, except that its ``\w`` includes combining marks and excludes ``½`` and ``²``, and that ``x{e}`` and
  ``[[:alpha:]]`` have a meaning.

``re`` always decides whether a pattern or a replacement is valid, so error texts are those of ``re``.
"""

import math
import re
import warnings
from collections.abc import Iterator
from functools import wraps
from itertools import islice
from typing import Any, NamedTuple

import regex

from comfyfarm.sim.nodes.call import NodeCall, NodeError, NodeOutcome, UnknownInput, outcome
from comfyfarm.sim.nodes.limits import bounded_text
from comfyfarm.sim.nodes.table import Rule, rule

_TIMEOUT_S = 0.03
# The timeout of ``regex`` does not cover its compilation, which copies the body of ``{n}`` n times, and which takes
# more than linear time for long literals.
_MAX_COPIES = 10_000
_MAX_PATTERN = 500


class _Search(NamedTuple):
    """A search with a pattern compiled by either package; ``limits`` are keyword arguments for its methods."""

    pattern: re.Pattern[str]
    text: str
    limits: dict[str, Any]

    @property
    def matches(self) -> Iterator[re.Match[str]]:
        return self.pattern.finditer(self.text, **self.limits)


def _unknown_if_undecided(function: Rule) -> Rule:
    """Let a rule give an unknown value if its search takes too long, or if only ``regex`` refuses the pattern."""

    @wraps(function)
    def decide(call: NodeCall) -> NodeOutcome:
        try:
            return function(call)
        except TimeoutError as error:
            call.budget.undecided -= 1
            raise UnknownInput from error
        except regex.error as error:
            raise UnknownInput from error

    return decide


@rule("RegexMatch")
@_unknown_if_undecided
def _match(call: NodeCall) -> NodeOutcome:
    try:
        return outcome(next(_search(call).matches, None) is not None)
    except re.error:
        return outcome(False)


@rule("RegexExtract")
@_unknown_if_undecided
def _extract(call: NodeCall) -> NodeOutcome:
    try:
        search = _search(call)
    except re.error:
        return outcome("")
    mode = call.word("mode", "First Match")
    group = call.integer("group_index", 1) if mode.endswith(("Group", "Groups")) else 0
    texts = (match[group] or "" for match in search.matches) if 0 <= group <= search.pattern.groups else iter(())
    text = "\n".join(texts) if mode.startswith("All") else next(texts, "")
    bounded_text(len(text))
    return outcome(text)


@rule("RegexReplace")
@_unknown_if_undecided
def _replace(call: NodeCall) -> NodeOutcome:
    return outcome(_substitute(_search(call), call.known_text("replace", ""), call.integer("count", 0)))


def _search(call: NodeCall) -> _Search:
    pattern, text = call.known_text("regex_pattern"), call.known_text("string")
    if len(pattern) > _MAX_PATTERN:
        raise UnknownInput
    flags = re.IGNORECASE if call.flag("case_insensitive", default=True) else re.NOFLAG
    flags |= re.MULTILINE if call.flag("multiline", default=False) else re.NOFLAG
    flags |= re.DOTALL if call.flag("dotall", default=False) else re.NOFLAG
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")     # FutureWarning concerns the author of the pattern
        compiled = re.compile(pattern, flags)
        steps = _most_steps(pattern, text)
        if steps is not None and steps <= call.budget.steps:
            call.budget.steps -= steps
            return _Search(compiled, text, {})
        if call.budget.undecided <= 0:
            raise UnknownInput
        return _Search(_stoppable(pattern, int(flags)), text, {"timeout": _TIMEOUT_S})


def _most_steps(pattern: str, text: str) -> int | None:
    """Return an upper bound of the number of steps that ``re`` can take; ``None`` if there is none.

    Each repeat can end at any position of the text, and each ``?`` or ``|`` doubles the number.  Repeated groups,
    references to groups, and what can hide a repeated group (comments, flag ``x``) have no such bound.
    """
    if re.search(r"\)[*+{]|\\\d|\(\?(P=|#|[A-Za-z]*x)", pattern):
        return None
    repeats, choices = (sum(map(pattern.count, signs)) for signs in ("*+{", "?|"))
    steps: int = len(pattern) * 2**choices * (len(text) + 1) ** (repeats + 1)
    return steps


def _stoppable(pattern: str, flags: int) -> Any:
    counts = re.findall(r"(?<=[{,])\d+(?=[,}])", pattern)
    if math.prod(max(1, int(count)) for count in counts) > _MAX_COPIES:
        raise UnknownInput
    return regex.compile(pattern, flags | regex.VERSION0)


def _substitute(search: _Search, template: str, count: int) -> str:
    """Do the work of ``re.sub``, if the length of the result is sure to be below the limit."""
    length, references = len(search.text), template.count("\\")     # each backslash may insert a whole match
    for match in islice(search.matches, count if count > 0 else None):
        length += len(template) + references * max(len(part) for part in (*match.groups(""), match[0]))
        bounded_text(length)
    _check_template(search.pattern, template)
    return search.pattern.sub(template, search.text, max(0, count), **search.limits)


def _check_template(pattern: re.Pattern[str], template: str) -> None:
    """Check a template with ``re``, on a pattern that has the same groups, all empty.

    :raises re.error: if the template is not valid.
    :raises NodeError: if it contains an unknown group name.
    """
    names = {number: f"?P<{name}>" for name, number in pattern.groupindex.items()}
    try:
        re.sub("".join(f"({names.get(number, '')})" for number in range(1, pattern.groups + 1)), template, "")
    except IndexError as error:
        raise NodeError("IndexError", str(error)) from error
