"""The placement measures as HTML, generated from the fields of their Structs."""

from collections.abc import Iterator
from typing import Any

import msgspec
from msgspec.structs import asdict

from comfyfarm.analysis.placement.placement import Placement
from comfyfarm.analysis.timeline.markup import clipped, escaped, table
from comfyfarm.analysis.timeline.scale import as_duration

NONE = "\N{EN DASH}"
"""Shown for a measure without a value."""

_MOST_CASES = 20
_MOST_LETTERS = 1000    # of a sentence; its names may be of any length
_MOST_UNFOLDED = 8      # values of one kind
_ELSEWHERE = ("is_small", "says")       # not among the values of a measure


def placement_cards(placement: Placement) -> Iterator[str]:
    """Yield a card for each measure, then the cases that measures list one by one."""
    measures = {name: value for name, value in asdict(placement).items() if isinstance(value, msgspec.Struct)}
    yield '<section><h2>Placement</h2><div class="cards">'
    for name, measure in measures.items():
        small = ' <i title="too few to show much">small sample</i>' if getattr(measure, "is_small", False) else ""
        yield f"<div><h3>{_words(name)}{small}</h3>"
        yield from _measure(measure)
        if says := getattr(measure, "says", ""):
            yield f"<p>{escaped(says)}</p>"
        yield "</div>"
    yield "</div>"
    for name, measure in measures.items():
        yield from _cases(name, measure)
    yield "</section>"


def _measure(measure: msgspec.Struct) -> Iterator[str]:
    fields = asdict(measure).items()
    values = {key: value for key, value in fields if key not in _ELSEWHERE and not isinstance(value, tuple)}
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


def _row(item: tuple[str, msgspec.Struct]) -> list[str]:
    name, values = item
    return [escaped(clipped(name)), *(escaped(_formatted(key, value)) for key, value in asdict(values).items())]


def _value(key: str, value: Any) -> Iterator[str]:
    if isinstance(value, msgspec.Struct):
        yield from _measure(value)
    elif isinstance(value, dict) and value:
        yield from _by_name(value)
    else:
        yield escaped(_formatted(key, value))


def _by_name(values: dict[str, Any]) -> Iterator[str]:
    """Yield a value for each instance, folded if there are many."""
    is_long = len(values) > _MOST_UNFOLDED
    if is_long:
        numbers = [value for value in values.values() if value is not None]
        limits = f": {_formatted('', min(numbers))} to {_formatted('', max(numbers))}" if numbers else ""
        yield f"<details><summary>{len(values)} values{limits}</summary>"
    yield "<dl>"
    for name, value in values.items():
        yield f"<dt>{escaped(clipped(name))}</dt><dd>{escaped(_formatted('', value))}</dd>"
    yield "</dl>" + ("</details>" if is_long else "")


def _cases(name: str, measure: msgspec.Struct) -> Iterator[str]:
    for value in asdict(measure).values():
        if isinstance(value, tuple) and value:
            yield f"<h3>{_words(name)}, one by one</h3><ul>"
            yield from (f"<li>{escaped(clipped(case.says, _MOST_LETTERS))}</li>" for case in value[:_MOST_CASES])
            yield "</ul>"
            if len(value) > _MOST_CASES:
                yield f'<p class="more">and {len(value) - _MOST_CASES} more</p>'


def _is_table(value: Any) -> bool:
    return isinstance(value, dict) and bool(value) and all(isinstance(row, msgspec.Struct) for row in value.values())


def _words(key: str) -> str:
    return "time" if key == "ms" else key.removesuffix("_ms").replace("_", " ")


def _formatted(key: str, value: Any) -> str:
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
