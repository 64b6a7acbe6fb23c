"""Find the differences between two JSON values.

The comparison is strict: 1, 1.0 and true are all different.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from difflib import SequenceMatcher
from itertools import zip_longest
from typing import Any

NOTHING = object()


@dataclass(frozen=True)
class Difference:
    """A place where two values differ.

    :ivar path: such as ``[2].json.jobs[0].status``.
    :ivar expected: the expected value as JSON; ``None`` if none is expected.
    :ivar got: the actual value as JSON; ``None`` if there is none.
    """

    path: str
    expected: str | None
    got: str | None


def differences(expected: Any, got: Any, path: str = "") -> Iterator[Difference]:
    """Yield every place where ``got`` differs from ``expected``."""
    if isinstance(expected, dict) and isinstance(got, dict):
        for key in sorted(expected.keys() | got.keys()):
            yield from differences(expected.get(key, NOTHING), got.get(key, NOTHING), f"{path}.{key}" if path else key)
    elif isinstance(expected, list) and isinstance(got, list):
        yield from _in_lists(expected, got, path)
    elif type(expected) is not type(got) or expected != got:
        yield Difference(path, _text(expected), _text(got))


def _in_lists(expected: list[Any], got: list[Any], path: str) -> Iterator[Difference]:
    if len(expected) == len(got):
        for index, (expected_item, got_item) in enumerate(zip(expected, got, strict=True)):
            yield from differences(expected_item, got_item, f"{path}[{index}]")
        return
    # The lists are aligned, so that one missing or extra item does not make all that follow it different.
    texts, got_texts = ([str(_text(item)) for item in items] for items in (expected, got))
    matcher = SequenceMatcher(None, texts, got_texts, autojunk=False)
    for kind, start, end, got_start, got_end in matcher.get_opcodes():
        if kind != "equal":
            pairs = zip_longest(expected[start:end], got[got_start:got_end], fillvalue=NOTHING)
            for index, (expected_item, got_item) in enumerate(pairs):
                yield from differences(expected_item, got_item, f"{path}[{start + index}]")


def _text(value: Any) -> str | None:
    return None if value is NOTHING else json.dumps(value, ensure_ascii=False, sort_keys=True)
