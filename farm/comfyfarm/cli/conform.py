"""``comfyfarm conform``: compare servers with ComfyUI, and print a score."""

import json
from argparse import Namespace
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from random import SystemRandom
from typing import Any

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


def conform(arguments: Namespace) -> int:
    """Run the suite, print its report, and return the exit status."""
    console = Console()
    try:
        scenarios = chosen(arguments.only, arguments.family, files=not arguments.without_files)
        if arguments.only_list:
            list_scenarios(console, scenarios)
            return _FULL
        version, outcomes = _judge(arguments, scenarios, console)
        if arguments.json is not None:
            arguments.json.write_text(json.dumps(_as_json(version, outcomes), indent=1))
    except (NoSuchScenario, Unreachable, OSError) as error:
        Console(stderr=True).print(f"comfyfarm conform: {error}", markup=False, highlight=False, soft_wrap=True)
        return _NOT_JUDGED
    print_report(console, outcomes, in_full=arguments.verbose, version=version)
    return _FULL if Score.of(outcomes).is_full else _DIFFERS


def _judge(
    arguments: Namespace, scenarios: Sequence[ConformanceScenario], console: Console
) -> tuple[str, list[ScenarioOutcome]]:
    """Return the version that the servers were compared with, and the outcomes."""
    if not arguments.urls:
        raise Unreachable("which server?  comfyfarm conform URL")
    outcomes: dict[str, ScenarioOutcome] = {}
    versions: set[str] = set()
    with progress_bar(console) as progress:
        bar = progress.add_task("", total=len(scenarios))

        def on_result(result: ScenarioResult) -> None:
            versions.add(result.version)
            outcome = outcomes[result.scenario.name] = judged(result, files=not arguments.without_files)
            progress.update(bar, advance=1, description=outcome.name)
            if arguments.verbose:
                print_line(console, outcome)

        def begin(reactor: Any) -> Coroutine[Any, Any, None]:
            suite = Suite(reactor, SystemRandom(), arguments.version)
            return suite.play(arguments.urls, scenarios, on_result)

        in_reactor(begin)
    return min(versions), [outcomes[scenario.name] for scenario in scenarios]


def _as_json(version: str, outcomes: Sequence[ScenarioOutcome]) -> dict[str, Any]:
    score, families = Score.of(outcomes), by_family(outcomes)
    return {
        "version": version,
        "score": _numbers(score),
        "families": {family: _numbers(family_score) for family, family_score in families.items()},
        "scenarios": {outcome.name: msgspec.to_builtins(outcome) for outcome in outcomes},
    }


def _numbers(score: Score) -> dict[str, Any]:
    return {**msgspec.to_builtins(score), "share": score.share, "is_full": score.is_full}


def in_reactor(begin: Callable[[Any], Coroutine[Any, Any, None]]) -> None:
    """Run the reactor until the coroutine ends, and raise what it raises. It can be called once per process.

    :param begin: is called with the reactor.
    :raises KeyboardInterrupt: if the reactor was stopped before.
    """
    ended: list[Failure | None] = []
    with suppress(SystemExit):
        react(lambda reactor: Deferred.fromCoroutine(begin(reactor)).addBoth(ended.append))
    if not ended:
        raise KeyboardInterrupt
    if ended[0] is not None:
        ended[0].raiseException()
