"""``comfyfarm conform``: judge servers, and say how they did."""

from __future__ import annotations

import json
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from pathlib import Path
from random import SystemRandom
from typing import Any, Protocol

import msgspec
from rich.console import Console
from twisted.internet.defer import Deferred
from twisted.internet.task import react
from twisted.python.failure import Failure

from comfyfarm.conformance.report import list_scenarios, print_line, print_report, progress_bar
from comfyfarm.conformance.scenario import ConformanceScenario
from comfyfarm.conformance.score import ScenarioOutcome, Score, by_family
from comfyfarm.conformance.suite import NoSuchScenario, ScenarioResult, Suite, Unreachable, chosen, judged

_FULL, _DIFFERS, _NOT_JUDGED = 0, 1, 2


class ConformArguments(Protocol):
    """The command line.

    :ivar json: where the score goes as JSON, if anywhere.
    """

    urls: Sequence[str]
    only: str | None
    family: str | None
    without_files: bool
    json: Path | None
    only_list: bool
    verbose: bool


def conform(wishes: ConformArguments) -> int:
    """Run the suite and print what came out; gives the exit status."""
    console = Console()
    try:
        scenarios = chosen(wishes.only, wishes.family, files=not wishes.without_files)
        if wishes.only_list:
            list_scenarios(console, scenarios)
            return _FULL
        outcomes = _judge(wishes, scenarios, console)
        if wishes.json is not None:
            wishes.json.write_text(json.dumps(_as_json(outcomes), indent=1))
    except (NoSuchScenario, Unreachable, OSError) as why:
        Console(stderr=True).print(f"comfyfarm conform: {why}", markup=False, highlight=False, soft_wrap=True)
        return _NOT_JUDGED
    print_report(console, outcomes, in_full=wishes.verbose)
    return _FULL if Score.of(outcomes).is_full else _DIFFERS


def _judge(
    wishes: ConformArguments, scenarios: Sequence[ConformanceScenario], console: Console
) -> list[ScenarioOutcome]:
    """Play the scenarios, and judge each as it ends."""
    if not wishes.urls:
        raise Unreachable("which server?  comfyfarm conform URL")
    outcomes: dict[str, ScenarioOutcome] = {}
    with progress_bar(console) as progress:
        bar = progress.add_task("", total=len(scenarios))

        def take(played: ScenarioResult) -> None:
            outcome = outcomes[played.scenario.name] = judged(played, files=not wishes.without_files)
            progress.update(bar, advance=1, description=outcome.name)
            if wishes.verbose:
                print_line(console, outcome)

        in_reactor(lambda reactor: Suite(reactor, SystemRandom()).play(wishes.urls, scenarios, take))
    return [outcomes[scenario.name] for scenario in scenarios]


def _as_json(outcomes: Sequence[ScenarioOutcome]) -> dict[str, Any]:
    score, families = Score.of(outcomes), by_family(outcomes)
    return {
        "score": _numbers(score),
        "families": {family: _numbers(each) for family, each in families.items()},
        "scenarios": {each.name: msgspec.to_builtins(each) for each in outcomes},
    }


def _numbers(score: Score) -> dict[str, Any]:
    return {**msgspec.to_builtins(score), "share": score.share, "is_full": score.is_full}


def in_reactor(begin: Callable[[Any], Coroutine[Any, Any, None]]) -> None:
    """Run the reactor until the work is done, and raise what it raises; once in a process.

    :param begin: given the reactor.
    :raises KeyboardInterrupt: where somebody stopped it before.
    """
    ended: list[Failure | None] = []
    with suppress(SystemExit):
        react(lambda reactor: Deferred.fromCoroutine(begin(reactor)).addBoth(ended.append))
    if not ended:
        raise KeyboardInterrupt
    if ended[0] is not None:
        ended[0].raiseException()
