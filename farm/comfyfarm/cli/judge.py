"""``comfyfarm judge``: what a saved log proves about the system under test."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, BinaryIO, Protocol

import msgspec
from rich.console import Console
from rich.table import Table
from rich.text import Text

from comfyfarm.analysis.findings import Thresholds
from comfyfarm.analysis.log_analysis import LogAnalysis
from comfyfarm.analysis.placement.placement import Placement, PlacementThresholds
from comfyfarm.analysis.verdict import Verdict
from comfyfarm.config.decoding import ConfigError, decode_text
from comfyfarm.events.encoding import as_json

_STATUS = {"pass": 0, "fail": 1, "unknown": 2}
_UNREADABLE = 2
_STYLES = {"pass": "green", "fail": "red", "unknown": "yellow", "error": "red", "warning": "yellow", "note": "dim"}
_UNTOLD = ("n", "is_small")


class JudgeArguments(Protocol):
    """The command line of ``judge``.

    :ivar log: a path, or ``-`` for what comes in.
    :ivar set: bounds and terms, as ``KEY=VALUE``.
    :ivar json: print the verdict as ``GET /api/verdict`` gives it.
    :ivar placement_json: print the placement as ``GET /api/placement`` gives it.
    """

    log: str
    set: Sequence[str]
    json: bool
    placement_json: bool


def judge(wishes: JudgeArguments) -> int:
    """Judge a saved log; gives the exit status: 0 for pass, 1 for fail, 2 for unknown or where nothing is judged."""
    try:
        bounds, terms = _read_settings(wishes.set)
        with _opened(wishes.log) as file:
            analysis = LogAnalysis.of_saved(file)
        verdict = analysis.verdict(bounds)
    except (ConfigError, OSError) as why:
        said = f"{wishes.log}: {why.strerror or why}" if isinstance(why, OSError) else str(why)
        Console(stderr=True).print(f"comfyfarm judge: {said}", markup=False, highlight=False, soft_wrap=True)
        return _UNREADABLE
    if wishes.json or wishes.placement_json:
        sys.stdout.buffer.write(as_json(verdict if wishes.json else analysis.placement(terms)))
        sys.stdout.buffer.flush()
    else:
        _print(Console(), verdict, analysis.placement(terms))
    return _STATUS[verdict.verdict]


@contextmanager
def _opened(path: str) -> Iterator[BinaryIO]:
    if path == "-":
        yield sys.stdin.buffer
        return
    with open(path, "rb") as file:  # noqa: PTH123 (the path is told as it was written)
        yield file


def _read_settings(said: Sequence[str]) -> tuple[Thresholds, PlacementThresholds]:
    """What ``--set`` says.

    :raises ConfigError: naming the key.
    """
    values: dict[type[msgspec.Struct], dict[str, Any]] = {Thresholds: {}, PlacementThresholds: {}}
    kinds = {field.name: (kind, field.type) for kind in values for field in msgspec.structs.fields(kind)}
    for each in said:
        key, _, value = each.partition("=")
        if key not in kinds:
            raise ConfigError(f"{key}: there is no such bound (there are: {', '.join(kinds)})")
        kind, hint = kinds[key]
        try:
            values[kind][key] = decode_text(value, hint)
        except ConfigError as why:
            raise ConfigError(f"{key}: {why}") from why
    return Thresholds(**values[Thresholds]), PlacementThresholds(**values[PlacementThresholds])


def _print(console: Console, verdict: Verdict, placement: Placement) -> None:
    console.print(Text(verdict.verdict, style=f"bold {_STYLES[verdict.verdict]}"), end="")
    console.print(
        f": {verdict.jobs} jobs, {verdict.attempts} attempts, {verdict.succeeded} succeeded;"
        f" {verdict.seq} events, {verdict.at_ms / 1000:g} s",
        highlight=False,
    )
    if verdict.findings:
        console.print(_findings(verdict))
    if placement.dispatches:
        console.print(_measures(placement))
        console.print("[dim]* too few to show much.  docs/placement.md defines each measure.[/]", highlight=False)


def _findings(verdict: Verdict) -> Table:
    table = Table(box=None, pad_edge=False, title="\nFindings", title_justify="left", title_style="bold")
    for column in ("", "finding", "events", "what happened"):
        table.add_column(column, no_wrap=column in {"", "finding"}, overflow="fold")
    for each in verdict.findings:
        events = " ".join(map(str, each.events[:4])) + (" ..." if len(each.events) > 4 else "")
        cells = each.finding, events, each.says
        table.add_row(Text(each.severity, style=_STYLES.get(each.severity, "")), *map(Text, cells))
    return table


def _measures(placement: Placement) -> Table:
    table = Table(box=None, pad_edge=False, title="\nPlacement", title_justify="left", title_style="bold")
    for column in ("measure", "n", ""):
        table.add_column(column, no_wrap=column != "", justify="right" if column == "n" else "left")
    for name, measure in msgspec.to_builtins(placement).items():
        if isinstance(measure, dict):
            count = f"{measure['n']}{'*' if measure['is_small'] else ' '}"
            table.add_row(Text(name.replace("_", " ")), count, Text(_said(measure)))
    return table


def _said(measure: Mapping[str, Any]) -> str:
    """A measure's figures in a line; its lists and tables are for ``--placement-json``."""
    told = {key: value for key, value in measure.items() if key not in _UNTOLD and not _is_long(value)}
    return ", ".join(f"{key.replace('_', ' ')} {_figure(value)}" for key, value in told.items())


def _is_long(value: Any) -> bool:
    return isinstance(value, list | tuple) or (isinstance(value, dict) and any(map(_is_table, value.values())))


def _is_table(value: Any) -> bool:
    return isinstance(value, dict)


def _figure(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, dict):
        return f"({', '.join(f'{key} {_figure(each)}' for key, each in value.items())})"
    return f"{value:.4g}" if isinstance(value, float) else str(value) or "-"
