"""Elements of SVG and HTML, and the escaping of text for them and for terminals."""

import re
from collections.abc import Iterable, Iterator
from html import escape
from typing import Any

_MOST_LETTERS = 200     # of a name
_FORBIDDEN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")      # by XML 1.0, section 2.2
_CONTROLS = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def escaped(words: str) -> str:
    """Escape text for elements and attributes of HTML and XML; characters that XML forbids are replaced."""
    return escape(_FORBIDDEN.sub("\ufffd", words))


def readable(words: str, most: int = _MOST_LETTERS) -> str:
    """Make text fit for one line of a terminal: control characters are replaced, long text is cut."""
    return _CONTROLS.sub("\ufffd", clipped(words, most))


def clipped(words: str, most: int = _MOST_LETTERS) -> str:
    """Cut a text that is too long."""
    return words if len(words) <= most else words[: most - 1] + "…"


def extent(words: str) -> int:
    """Return about how wide a text is, in Latin letters."""
    return sum(2 if letter > "\u2e7f" else 1 for letter in words)


def tag(name: str, title: str = "", **attributes: Any) -> str:
    """Format an element without content.

    :param title: its tooltip.
    :param attributes: ``_`` means ``-``, except at the end (``class_``); ``None`` leaves an attribute out.
    """
    formatted = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{_number(value)}"'
        for key, value in attributes.items()
        if value is not None
    )
    return f"<{name}{formatted}>{_title(title)}</{name}>" if title else f"<{name}{formatted}/>"


def text(x: float, y: float, words: str, *, kind: str = "", anchor: str = "start", title: str = "") -> str:
    where = f'x="{_number(x)}" y="{_number(y)}" class="{kind}" text-anchor="{anchor}"'
    return f"<text {where}>{_title(title) if title else ''}{escaped(words)}</text>"


def _title(words: str) -> str:
    return f"<title>{escaped(clipped(words))}</title>"


def table(heads: Iterable[str], rows: Iterable[Iterable[str]], kind: str = "") -> Iterator[str]:
    """Yield the parts of an HTML table.

    :param rows: their cells, as HTML.
    """
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
