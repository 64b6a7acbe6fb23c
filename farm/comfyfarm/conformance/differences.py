"""Where do two JSON values differ?

Both are compared as JSON, strictly: 1 is not 1.0, and neither is true.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from difflib import SequenceMatcher
from itertools import zip_longest
from typing import Any

NOTHING = object()


@dataclass(frozen=True)
class Difference:
    """One place.

    :ivar path: as in ``[2].json.jobs[0].status``.
    :ivar expected: the JSON text of what should be there, or ``None`` for nothing.
    :ivar got: of what is there.
    """

    path: str
    expected: str | None
    got: str | None


def differences(expected: Any, got: Any, path: str = "") -> Iterator[Difference]:
    """Find every place where ``got`` is not what was expected."""
    if isinstance(expected, dict) and isinstance(got, dict):
        for key in sorted(expected.keys() | got.keys()):
            yield from differences(expected.get(key, NOTHING), got.get(key, NOTHING), _under(path, key))
    elif isinstance(expected, list) and isinstance(got, list):
        yield from _in_lists(expected, got, path)
    elif type(expected) is not type(got) or expected != got:
        yield Difference(path, _text(expected), _text(got))


def _in_lists(expected: list[Any], got: list[Any], path: str) -> Iterator[Difference]:
    if len(expected) == len(got):
        for index, (one, other) in enumerate(zip(expected, got, strict=True)):
            yield from differences(one, other, f"{path}[{index}]")
        return
    # What is missing or too much in the middle must not make all that follows different.
    texts, got_texts = ([str(_text(item)) for item in items] for items in (expected, got))
    matcher = SequenceMatcher(None, texts, got_texts, autojunk=False)
    for kind, start, end, got_start, got_end in matcher.get_opcodes():
        if kind != "equal":
            pairs = zip_longest(expected[start:end], got[got_start:got_end], fillvalue=NOTHING)
            for index, (one, other) in enumerate(pairs):
                yield from differences(one, other, f"{path}[{start + index}]")


def _under(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key


def _text(value: Any) -> str | None:
    return None if value is NOTHING else json.dumps(value, ensure_ascii=False, sort_keys=True)
