"""A table of HTML."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

__all__ = ["table"]


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
