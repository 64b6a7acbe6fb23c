"""``comfyfarm judge``: print the verdict and the placement of a saved log."""

from collections.abc import Mapping, Sequence
from typing import Any

import click
import msgspec
from rich.console import Console
from rich.table import Table
from rich.text import Text

from comfyfarm.analysis.findings import Thresholds
from comfyfarm.analysis.log_analysis import Part
from comfyfarm.analysis.placement.placement import Placement, PlacementThresholds
from comfyfarm.analysis.trials import UnknownTrial, analyse_saved
from comfyfarm.analysis.verdict import Verdict
from comfyfarm.cli.common import NO, OK, UNKNOWN, Trouble, console, log_argument, opened, print_bytes, trial_option
from comfyfarm.config.decoding import ConfigError, decode_text
from comfyfarm.events.encoding import as_json

_STATUS = {"pass": OK, "fail": NO, "unknown": UNKNOWN}
_STYLES = {"pass": "green", "fail": "red", "unknown": "yellow", "error": "red", "warning": "yellow", "note": "dim"}
_ELSEWHERE = ("n", "is_small", "says")      # not among the figures of a measure


@click.command(
    epilog="FILE is a log that a farm has written ([farm] log, --log); - reads what comes in.  The exit status is 0 "
    "for pass, 1 for fail, 3 for unknown, 2 if the file or an option is wrong.  docs/verdict.md and docs/placement.md "
    "define all of it."
)
@log_argument
@trial_option
@click.option(
    "--set",
    "bounds",
    metavar="BOUND=VALUE",
    multiple=True,
    help="Another bound than the usual one: reaction=5s, retries=3; also the placement's fresh and overtakes.",
)
@click.option("--json", "form", flag_value="json", help="Print the verdict alone, byte for byte as GET /api/verdict.")
@click.option(
    "--placement-json", "form", flag_value="placement", help="Print the placement alone, as GET /api/placement."
)
def judge(log: str, trial: str | None, bounds: Sequence[str], form: str | None) -> int:
    """Say what a saved log proves about the software that used the farm."""
    try:
        thresholds, placement_thresholds = _read_thresholds(bounds)
        parts: tuple[Part, ...] = () if form == "json" else ("placement",)
        with opened(log) as file:
            analysis = analyse_saved(file, needs_end=log != "-", trial=trial, parts=parts)
        verdict = analysis.verdict(thresholds)
    except (ConfigError, UnknownTrial) as error:
        raise Trouble(str(error)) from error
    if not verdict.seq:
        raise Trouble(f"{log}: there is no event in it")
    if form is None:
        _print(console(), verdict, analysis.placement(placement_thresholds))
    else:
        print_bytes(as_json(verdict if form == "json" else analysis.placement(placement_thresholds)))
    return _STATUS[verdict.verdict]


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
        console.print("* too few to show much.  docs/placement.md defines each measure.", style="dim")


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
