"""The output of ``comfyfarm conform``."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table
from rich.text import Text

from comfyfarm.conformance.differences import Difference
from comfyfarm.conformance.scenario import ConformanceScenario
from comfyfarm.conformance.score import ScenarioOutcome, Score, by_family
from comfyfarm.versions import REFERENCE

# Limits without -v: differences of one scenario, letters of one value.
_MAX_DIFFERENCES = 3
_MAX_LETTERS = 160


@contextmanager
def progress_bar(console: Console, total: int) -> Iterator[Callable[[str], None]]:
    """Show a progress bar on a terminal, and yield what is called with the name of each scenario that has ended."""
    if not console.is_terminal:
        yield lambda _name: None    # a bar that is disabled prints an empty line before rich 14.3
        return
    columns = (BarColumn(), MofNCompleteColumn(), TextColumn("{task.description}"))
    with Progress(*columns, console=console, transient=True) as progress:
        bar = progress.add_task("", total=total)
        yield lambda name: progress.update(bar, advance=1, description=name)


def print_line(console: Console, outcome: ScenarioOutcome) -> None:
    state = "skipped" if outcome.skipped is not None else "same" if outcome.is_same else "differs"
    colour = {"skipped": "yellow", "same": "green", "differs": "red"}[state]
    line = Text(f"{state:8}", style=colour).append(f"{outcome.name:40} {outcome.seconds:6.2f} s", style="default")
    console.print(line, soft_wrap=True)


def print_report(
    console: Console, outcomes: Sequence[ScenarioOutcome], *, in_full: bool, version: str = REFERENCE
) -> None:
    """Print the differences, then the families, and last the score, so that it is seen.

    :param in_full: print all differences and uncut values.
    :param version: that of ComfyUI that the servers were compared with.
    """
    for outcome in outcomes:
        if outcome.differences:
            _print_differences(console, outcome, in_full=in_full)
    console.print(_family_table(outcomes))
    for reason in sorted({outcome.skipped for outcome in outcomes if outcome.skipped is not None}):
        count = sum(outcome.skipped == reason for outcome in outcomes)
        console.print(f"skipped {count}: {reason}", markup=False, highlight=False, soft_wrap=True)
    console.print(f"compared with ComfyUI {version}", highlight=False)
    score = Score.of(outcomes)
    console.print(f"score: {score}", style="bold green" if score.is_full else "bold red", highlight=False)


def list_scenarios(console: Console, scenarios: Sequence[ConformanceScenario]) -> None:
    """Print the name, the family and the description of each scenario."""
    table = Table(box=None, pad_edge=False)
    for column in ("scenario", "family", "what it shows"):
        table.add_column(column, no_wrap=column != "what it shows")
    for scenario in scenarios:
        table.add_row(scenario.name, scenario.family, Text(scenario.about))
    console.print(table)


def _print_differences(console: Console, outcome: ScenarioOutcome, *, in_full: bool) -> None:
    console.print(Text(f"{outcome.name} ({outcome.family})", style="bold"))
    shown = outcome.differences if in_full else outcome.differences[:_MAX_DIFFERENCES]
    for difference in shown:
        console.print(_difference_text(difference, in_full=in_full), soft_wrap=True)
    if len(shown) < len(outcome.differences):
        console.print(f"  ... and {len(outcome.differences) - len(shown)} more (-v shows all)", highlight=False)


def _difference_text(difference: Difference, *, in_full: bool) -> Text:
    values = {"ComfyUI": difference.expected, "here": difference.got}
    text = Text(f"  {difference.path}")
    for side, value in values.items():
        shown = "(nothing)" if value is None else value
        if not in_full and len(shown) > _MAX_LETTERS:
            shown = f"{shown[:_MAX_LETTERS]}..."
        text.append(f"\n    {side:8}{shown}", style="green" if side == "ComfyUI" else "red")
    return text


def _family_table(outcomes: Sequence[ScenarioOutcome]) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column("family")
    for column in ("same", "of", "skipped", "seconds"):
        table.add_column(column, justify="right")
    for family, score in by_family(outcomes).items():
        numbers = (str(score.same), str(score.judged), str(score.skipped), f"{score.seconds:.1f}")
        table.add_row(family, *numbers, style=None if score.same == score.judged else "red")
    return table
