"""Could a regular expression keep us too long on a text?

The estimate is of the worst case, from the pattern's own parts: a repeat that can end in n places multiplies the ways
to try by n, and a repeat of something that can itself be done in m ways, by m for each round.  What nothing can fail
after is never tried in a second way.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any, NamedTuple

__all__ = ["could_take_long"]

_PARSER: Any = import_module("re._parser")
_COMPILER: Any = import_module("re._compiler")
_TOO_MANY = 3 * 10**7       # steps: about a second at the most
_LONGEST_PATTERN = 1000
_LONGEST_LOOK = 1 << 16
_PASSED_AT_ONCE = 10        # characters that are passed in the time of a step where nothing can go two ways ...
_SEARCHED_AT_ONCE = 50      # ... and where one of them is looked for


def could_take_long(pattern: str, flags: int, text: str) -> bool:
    """Whether a pattern may need more than about a second on a text.

    :raises re.error: where it is none.
    """
    if len(pattern) > _LONGEST_PATTERN:
        return True
    tree = _PARSER.parse(pattern, flags)
    return (len(text) + 1) * _Cost(text, flags).of(tree, _After(None, sure=True)) > _TOO_MANY


class _After(NamedTuple):
    """What must match after a part: a certain character, nothing that can fail, or nobody knows."""

    character: str | None
    sure: bool


_ANYTHING = _After(None, sure=False)


class _Cost:
    """How many ways there are to match the parts of a pattern at one place of a text."""

    def __init__(self, text: str, flags: int) -> None:
        self.text = text
        self.flags = flags
        self._letters = set(text)

    def of(self, ops: Any, after: _After) -> int:
        """The ways of a sequence."""
        ways = 1
        for op, argument in reversed(list(ops)):
            name = str(op)
            ways = min(_TOO_MANY + 1, ways * self._of_one(name, argument, after))
            if name == "LITERAL":
                after = _After(chr(argument), sure=False)
            elif not (name in ("MAX_REPEAT", "MIN_REPEAT") and argument[0] == 0 and after.sure):
                after = _ANYTHING
        return ways

    def _of_one(self, op: str, argument: Any, after: _After) -> int:
        match op:
            case "MAX_REPEAT" | "MIN_REPEAT":
                return self._of_repeat(int(argument[0]), int(argument[1]), argument[2], after)
            case "SUBPATTERN":
                return self.of(argument[-1], after)
            case "BRANCH":
                return sum(self.of(each, after) for each in argument[1])
            case "ASSERT" | "ASSERT_NOT":
                return self._of_atom(argument[1])
            case "ATOMIC_GROUP":
                return self._of_atom(argument)
            case "POSSESSIVE_REPEAT":
                return self.of(argument[2], _ANYTHING) * self._passing(int(argument[1]) * _widest(argument[2]))
            case "GROUPREF" | "GROUPREF_IGNORE":
                return self._passing(len(self.text))
            case "GROUPREF_EXISTS":
                return sum(self.of(each, after) for each in argument[1:] if each)
            case _:
                return 1

    def _of_atom(self, body: Any) -> int:
        """What is found in one way or not at all must still be looked at anew each time."""
        return self.of(body, _After(None, sure=True)) * self._passing(_widest(body))

    def _passing(self, characters: int) -> int:
        """How many steps it takes to pass so many characters of the text."""
        return 1 + min(len(self.text), characters) // _PASSED_AT_ONCE

    def _of_repeat(self, low: int, high: int, body: Any, after: _After) -> int:
        if after.sure:
            once = self.of(body, after if low <= 1 else _ANYTHING)
            return _power(once, max(1, low))
        once, rounds = self.of(body, _ANYTHING), self._rounds(high, body)
        if once > 1:
            return _power(once, rounds + 1)
        ends = max(1, rounds - low + 1)
        if after.character is None:
            return ends
        cases = {after.character, after.character.lower(), after.character.upper()}
        places = sum(self.text.count(each) for each in cases) + 1
        return min(ends, max(places, ends // _SEARCHED_AT_ONCE))

    def _rounds(self, high: int, body: Any) -> int:
        """How often a body can be repeated on this text."""
        narrowest = int(body.getwidth()[0])
        most = min(high, len(self.text) // max(1, narrowest))
        return min(most, self._longest_run(body)) if len(body) == 1 else most

    def _longest_run(self, body: Any) -> int:
        """The longest run of characters, each of which is one of a class."""
        if len(self.text) > _LONGEST_LOOK or str(body[0][0]) not in ("IN", "LITERAL", "NOT_LITERAL", "ANY"):
            return len(self.text)
        one = _COMPILER.compile(body, self.flags)
        marked = self.text.translate({ord(each): "x" if one.match(each) else " " for each in self._letters})
        return max(map(len, marked.split(" ")))


def _widest(body: Any) -> int:
    return int(body.getwidth()[1])


def _power(ways: int, rounds: int) -> int:
    return min(_TOO_MANY + 1, ways ** min(rounds, _TOO_MANY.bit_length())) if ways > 1 else ways
