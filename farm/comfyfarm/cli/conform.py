"""``comfyfarm conform``: compare servers with ComfyUI, and print a score."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from random import SystemRandom
from typing import Any

import click
import msgspec

from comfyfarm.cli.common import NO, OK, Trouble, as_url, console, header_option, in_reactor, path_option
from comfyfarm.conformance.scenario import ConformanceScenario
from comfyfarm.conformance.score import ScenarioOutcome, Score, by_family
from comfyfarm.versions import DEFAULT, RECORDED


@click.command(
    epilog="The server must be idle and nobody else's meanwhile.  The exit status is 0 only if the score is full, 1 if "
    "something differs, 2 if no server could be judged."
)
@click.argument("urls", metavar="[URL]...", nargs=-1, callback=as_url)
@click.option("--self", "is_self", is_flag=True, help="Judge comfyfarm itself, on a farm like the recorded servers.")
@click.option("--only", metavar="NAMES", help="Scenarios, with commas between them: 'run_*,features'.")
@click.option("--family", metavar="FAMILY", help="Only the scenarios of one family.")
@click.option(
    "--version", type=click.Choice(RECORDED), help="Of ComfyUI, to compare with; default: as the server says."
)
@click.option("--without-files", is_flag=True, help="Leave output files out (for a static instance).")
@path_option("--json", "json_file", metavar="FILE", help="Write score and differences there.")
@click.option("--list", "only_list", is_flag=True, help="Say which scenarios there are, and stop.")
@header_option
@click.option("-v", "--verbose", is_flag=True, help="Tell each scenario, and every difference in full.")
def conform(
    urls: Sequence[str],
    *,
    is_self: bool,
    only: str | None,
    family: str | None,
    version: str | None,
    without_files: bool,
    json_file: Path | None,
    only_list: bool,
    headers: Mapping[str, str],
    verbose: bool,
) -> int:
    """Compare servers with ComfyUI's recorded behaviour, and print a score.

    Several equal servers share the work.
    """
    from comfyfarm.conformance.report import list_scenarios, print_report
    from comfyfarm.conformance.suite import NoSuchScenario, Unreachable, chosen

    try:
        scenarios = chosen(only, family, files=not without_files)
        if only_list:
            list_scenarios(console(), scenarios)
            return OK
        if bool(urls) == is_self:
            raise Trouble("which server?  comfyfarm conform URL, or comfyfarm conform --self")
        run = _Run(version, headers, verbose=verbose, files=not without_files)
        own_shares = _own_shares(version, scenarios, files=not without_files)
        with own_shares if is_self else nullcontext([(urls, scenarios)]) as shares:
            outcomes = run.judge(shares)
    except (NoSuchScenario, Unreachable) as error:
        raise Trouble(str(error)) from error
    if json_file is not None:
        json_file.write_text(json.dumps(_as_json(run.version, outcomes), indent=1))
    print_report(console(), outcomes, in_full=verbose, version=run.version)
    if not is_self:
        _explain(run.own, outcomes)
    return OK if Score.of(outcomes).is_full else NO


_Share = tuple[Sequence[str], Sequence[ConformanceScenario]]
"""The URLs of equal servers, and the scenarios for them."""


@contextmanager
def _own_shares(
    version: str | None, scenarios: Sequence[ConformanceScenario], *, files: bool
) -> Iterator[Sequence[_Share]]:
    """Run a farm that has what the recorded servers had; samplers need one that has models."""
    from comfyfarm.conformance.own import farm_tables
    from comfyfarm.testing.child import run_farm

    with run_farm(farm_tables(version or DEFAULT, files=files)) as farm:
        sampling = [scenario for scenario in scenarios if scenario.family == "sampling"]
        others = [scenario for scenario in scenarios if scenario.family != "sampling"]
        *recorded, with_models = farm.urls
        yield [share for share in ((recorded, others), ([with_models], sampling)) if share[1]]


def _explain(own: Mapping[str, str], outcomes: Sequence[ScenarioOutcome]) -> None:
    """Say why an instance of comfyfarm differs."""
    from comfyfarm.conformance.own import explanation

    lines = list(explanation(outcomes))
    if own and lines:
        click.echo(f"{', '.join(own.values())}: of comfyfarm, with settings that the recorded servers did not have")
        for line in lines:
            click.echo(f"  {line}")
        click.echo("comfyfarm conform --self judges one that has them all.")


class _Run:
    """One run of the suite.

    :ivar version: the version that the servers are compared with; empty until it is known.
    :ivar own: the names of those servers that are instances of comfyfarm, by URL.
    """

    def __init__(self, version: str | None, headers: Mapping[str, str], *, verbose: bool, files: bool) -> None:
        self._headers = headers
        self.version = version or ""
        self.own: dict[str, str] = {}
        self._verbose = verbose
        self._files = files

    def judge(self, shares: Sequence[_Share]) -> list[ScenarioOutcome]:
        from comfyfarm.conformance.report import print_line, progress_bar
        from comfyfarm.conformance.suite import ScenarioResult, Suite, judged

        outcomes: dict[str, ScenarioOutcome] = {}
        screen, wanted = console(), self.version or None
        scenarios = [scenario for _, share in shares for scenario in share]
        with progress_bar(screen, len(scenarios)) as show_ended:

            def on_result(result: ScenarioResult) -> None:
                self.version = result.version
                outcome = outcomes[result.scenario.name] = judged(result, files=self._files)
                show_ended(outcome.name)
                if self._verbose:
                    print_line(screen, outcome)

            async def play(reactor: Any) -> None:
                from twisted.internet.defer import Deferred, FirstError, gatherResults

                suite = Suite(reactor, SystemRandom(), wanted, self._headers)
                runs = [Deferred.fromCoroutine(suite.play(urls, share, on_result)) for urls, share in shares]
                try:
                    await gatherResults(runs, consumeErrors=True)
                except FirstError as error:
                    error.subFailure.raiseException()
                self.own = suite.own

            in_reactor(play)
        return [outcomes[scenario.name] for scenario in scenarios]


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
