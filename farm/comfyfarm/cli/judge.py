"""``comfyfarm judge``: print the verdict and the placement of a saved log."""

import sys
from argparse import Namespace
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, BinaryIO

import msgspec
from rich.console import Console
from rich.table import Table
from rich.text import Text

from comfyfarm.analysis.findings import Thresholds
from comfyfarm.analysis.log_analysis import Part
from comfyfarm.analysis.placement.placement import Placement, PlacementThresholds
from comfyfarm.analysis.trials import UnknownTrial, analyse_saved
from comfyfarm.analysis.verdict import Verdict
from comfyfarm.config.decoding import ConfigError, decode_text
from comfyfarm.events.encoding import as_json

_STATUS = {"pass": 0, "fail": 1, "unknown": 2}
_UNREADABLE = 2
_STYLES = {"pass": "green", "fail": "red", "unknown": "yellow", "error": "red", "warning": "yellow", "note": "dim"}
_ELSEWHERE = ("n", "is_small", "says")      # not among the figures of a measure


def judge(arguments: Namespace) -> int:
    """Judge a saved log and return the exit status: 0 for pass, 1 for fail, 2 for unknown or an unreadable log."""
    try:
        thresholds, placement_thresholds = _read_thresholds(arguments.set)
        parts: tuple[Part, ...] = () if arguments.json else ("placement",)
        with _opened(arguments.log) as file:
            analysis = analyse_saved(
                file, needs_end=arguments.log != "-", trial=arguments.trial, parts=parts
            )
        verdict = analysis.verdict(thresholds)
    except (ConfigError, OSError, UnknownTrial) as error:
        text = f"{arguments.log}: {error.strerror or error}" if isinstance(error, OSError) else str(error)
        Console(stderr=True).print(f"comfyfarm judge: {text}", markup=False, highlight=False, soft_wrap=True)
        return _UNREADABLE
    if arguments.json or arguments.placement_json:
        sys.stdout.buffer.write(as_json(verdict if arguments.json else analysis.placement(placement_thresholds)))
        sys.stdout.buffer.flush()
    else:
        _print(Console(), verdict, analysis.placement(placement_thresholds))
    return _STATUS[verdict.verdict]


def _opened(path: str) -> AbstractContextManager[BinaryIO]:
    if path == "-":
        return nullcontext(sys.stdin.buffer)
    return open(path, "rb")  # noqa: PTH123 (Path turns an empty path into ".")


def _read_thresholds(settings: Sequence[str]) -> tuple[Thresholds, PlacementThresholds]:
    """Parse the values of ``--set``.

    :raises ConfigError: if a key is unknown or a value is wrong; it names the key.
    """
    values: dict[type[msgspec.Struct], dict[str, Any]] = {Thresholds: {}, PlacementThresholds: {}}
    kinds = {field.name: (kind, field.type) for kind in values for field in msgspec.structs.fields(kind)}
    for setting in settings:
        key, _, value = setting.partition("=")
        if key not in kinds:
            raise ConfigError(f"{key}: there is no such bound (there are: {', '.join(kinds)})")
        kind, hint = kinds[key]
        try:
            values[kind][key] = decode_text(value, hint)
        except ConfigError as error:
            raise ConfigError(f"{key}: {error}") from error
    return Thresholds(**values[Thresholds]), PlacementThresholds(**values[PlacementThresholds])


def _print(console: Console, verdict: Verdict, placement: Placement) -> None:
    console.print(Text(verdict.verdict, style=f"bold {_STYLES[verdict.verdict]}"), end="")
    if verdict.trial:
        console.print(Text(f" (trial {verdict.trial})"), end="")
    console.print(
        f": {verdict.summary()}; {verdict.seq} events, {verdict.at_ms / 1000:g} s",
        highlight=False,
    )
    if verdict.findings:
        console.print(_findings(verdict))
    if placement.dispatches:
        console.print(_measures(placement))
        console.print(placement.arrivals.says, highlight=False)
        console.print("[dim]* too few to show much.  docs/placement.md defines each measure.[/]", highlight=False)


def _findings(verdict: Verdict) -> Table:
    table = Table(box=None, pad_edge=False, title="\nFindings", title_justify="left", title_style="bold")
    for column in ("", "finding", "events", "what happened"):
        table.add_column(column, no_wrap=column in {"", "finding"}, overflow="fold")
    for finding in verdict.findings:
        events = " ".join(map(str, finding.events[:4])) + (" ..." if len(finding.events) > 4 else "")
        cells = finding.finding, events, finding.says
        table.add_row(Text(finding.severity, style=_STYLES.get(finding.severity, "")), *map(Text, cells))
    return table


def _measures(placement: Placement) -> Table:
    table = Table(box=None, pad_edge=False, title="\nPlacement", title_justify="left", title_style="bold")
    for column in ("measure", "n", ""):
        table.add_column(column, no_wrap=column != "", justify="right" if column == "n" else "left")
    for name, measure in msgspec.to_builtins(placement).items():
        if isinstance(measure, dict):
            count = f"{measure['n']}{'*' if measure['is_small'] else ' '}"
            table.add_row(Text(name.replace("_", " ")), count, Text(_figures(measure)))
    return table


def _figures(measure: Mapping[str, Any]) -> str:
    """Return a measure's figures in a line, without lists and nested tables; ``--placement-json`` has those."""
    return ", ".join(
        f"{key.replace('_', ' ')} {_figure(value)}"
        for key, value in measure.items()
        if key not in _ELSEWHERE and not _is_long(value)
    )


def _is_long(value: Any) -> bool:
    if isinstance(value, dict):
        return any(isinstance(inner, dict) for inner in value.values())
    return isinstance(value, list | tuple)


def _figure(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, dict):
        return f"({', '.join(f'{key} {_figure(inner)}' for key, inner in value.items())})"
    return f"{value:.4g}" if isinstance(value, float) else str(value) or "-"
