"""Elements of SVG and HTML, and text that can do no harm in them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from html import escape
from typing import Any

_LETTERS = 200      # as much of a name as anybody reads
_FORBIDDEN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")      # by XML 1.0, section 2.2
_CONTROLS = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def escaped(words: str) -> str:
    """Text for an element or an attribute, of HTML and of XML; for what XML does not allow there stands a mark."""
    return escape(_FORBIDDEN.sub("\ufffd", words))


def readable(words: str, most: int = _LETTERS) -> str:
    """Text for one line of a terminal, without what would steer it, nor more of it than anybody reads."""
    return _CONTROLS.sub("\ufffd", clipped(words, most))


def clipped(words: str, most: int = _LETTERS) -> str:
    """The beginning of a text that is too long."""
    return words if len(words) <= most else words[: most - 1] + "…"


def extent(words: str) -> int:
    """About how wide a text is, in Latin letters."""
    return sum(2 if letter > "\u2e7f" else 1 for letter in words)


def tag(name: str, says: str = "", **attributes: Any) -> str:
    """One element.

    :param says: is shown where the mouse rests on it.
    :param attributes: ``_`` stands for ``-``, but for one at the end; ``None`` leaves one out.
    """
    said = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{_number(value)}"'
        for key, value in attributes.items()
        if value is not None
    )
    return f"<{name}{said}><title>{escaped(clipped(says))}</title></{name}>" if says else f"<{name}{said}/>"


def text(x: float, y: float, words: str, *, kind: str = "", anchor: str = "start", says: str = "") -> str:
    """Letters at a place."""
    title = f"<title>{escaped(clipped(says))}</title>" if says else ""
    where = f'x="{_number(x)}" y="{_number(y)}" class="{kind}" text-anchor="{anchor}"'
    return f"<text {where}>{title}{escaped(words)}</text>"


def table(heads: Iterable[str], rows: Iterable[Iterable[str]], kind: str = "") -> Iterator[str]:
    """A table; its cells are HTML already."""
    yield f'<table class="{kind}"><thead><tr>'
    yield from (f"<th>{head}</th>" for head in heads)
    yield "</tr></thead><tbody>"
    for row in rows:
        yield "<tr>"
        yield from (f"<td>{cell}</td>" for cell in row)
        yield "</tr>"
    yield "</tbody></table>"


def _number(value: Any) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".") if isinstance(value, float) else escaped(str(value))
