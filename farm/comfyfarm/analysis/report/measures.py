"""How well the work was placed: whatever measures there are, in their own words."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
from msgspec.structs import asdict

from comfyfarm.analysis.placement.placement import Placement
from comfyfarm.analysis.timeline.markup import clipped, escaped, table
from comfyfarm.analysis.timeline.scale import as_duration

NONE = "\N{EN DASH}"
"""Stands where a measure has no meaning."""

_MOST_CASES = 20
_MOST_LETTERS = 1000    # of a sentence: the names in it may be of any length
_MOST_OPEN = 8      # values of one kind; more are shown on request


def placement_cards(placement: Placement) -> Iterator[str]:
    """A card for each measure that there is, and behind them what is told one by one."""
    measures = {name: each for name, each in asdict(placement).items() if isinstance(each, msgspec.Struct)}
    yield '<section><h2>Placement</h2><div class="cards">'
    for name, measure in measures.items():
        small = ' <i title="too few to show much">small sample</i>' if getattr(measure, "is_small", False) else ""
        yield f"<div><h3>{_words(name)}{small}</h3>"
        yield from _measure(measure)
        yield "</div>"
    yield "</div>"
    for name, measure in measures.items():
        yield from _cases(name, measure)
    yield "</section>"


def _measure(measure: msgspec.Struct) -> Iterator[str]:
    """What it comes to, and under it the tables that belong to it."""
    values = {key: value for key, value in asdict(measure).items() if key != "is_small" and not _is_cases(value)}
    yield "<dl>"
    for key, value in values.items():
        if not _is_table(value):
            yield f"<dt>{_words(key)}</dt><dd>"
            yield from _value(key, value)
            yield "</dd>"
    yield "</dl>"
    for value in values.values():
        if _is_table(value):
            heads = asdict(next(iter(value.values())))
            yield from table(("", *map(_words, heads)), map(_row, value.items()), "small")


def _row(named: tuple[str, msgspec.Struct]) -> list[str]:
    name, values = named
    return [escaped(clipped(name)), *(escaped(_said(key, value)) for key, value in asdict(values).items())]


def _value(key: str, value: Any) -> Iterator[str]:
    if isinstance(value, msgspec.Struct):
        yield from _measure(value)
    elif isinstance(value, dict) and value:
        yield from _by_name(value)
    else:
        yield escaped(_said(key, value))


def _by_name(values: dict[str, Any]) -> Iterator[str]:
    """A value for each instance; where they are many, folded away."""
    is_long = len(values) > _MOST_OPEN
    if is_long:
        numbers = [value for value in values.values() if value is not None]
        reach = f": {_said('', min(numbers))} to {_said('', max(numbers))}" if numbers else ""
        yield f"<details><summary>{len(values)} values{reach}</summary>"
    yield "<dl>"
    for name, value in values.items():
        yield f"<dt>{escaped(clipped(name))}</dt><dd>{escaped(_said('', value))}</dd>"
    yield "</dl>" + ("</details>" if is_long else "")


def _cases(name: str, measure: msgspec.Struct) -> Iterator[str]:
    """What a measure tells one by one, in sentences."""
    for value in asdict(measure).values():
        if _is_cases(value) and value:
            yield f"<h3>{_words(name)}, one by one</h3><ul>"
            yield from (f"<li>{escaped(clipped(each.says, _MOST_LETTERS))}</li>" for each in value[:_MOST_CASES])
            yield "</ul>"
            if len(value) > _MOST_CASES:
                yield f'<p class="more">and {len(value) - _MOST_CASES} more</p>'


def _is_table(value: Any) -> bool:
    return isinstance(value, dict) and bool(value) and all(isinstance(each, msgspec.Struct) for each in value.values())


def _is_cases(value: Any) -> bool:
    return isinstance(value, tuple)


def _words(key: str) -> str:
    return "time" if key == "ms" else key.removesuffix("_ms").replace("_", " ")


def _said(key: str, value: Any) -> str:
    if value is None:
        return NONE
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float) and key.endswith(("_ms", "ms")):
        return as_duration(round(value)) if value >= 0 else f"\N{MINUS SIGN}{as_duration(round(-value))}"
    if isinstance(value, float):
        return f"{value:.3g}" if abs(value) < 1000 else f"{value:.0f}"
    if isinstance(value, list | tuple | dict):
        return ", ".join(map(str, value)) or NONE
    return clipped(str(value))
