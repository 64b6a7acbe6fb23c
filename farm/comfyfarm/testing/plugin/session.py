"""The farms of one run of one test: their configurations, and the check of their verdicts."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

import pytest

from comfyfarm.config import FarmConfig
from comfyfarm.config.overlay import Overlay, Table
from comfyfarm.config.sources import ConfigSource
from comfyfarm.testing.assertions import JudgedFarm
from comfyfarm.testing.expectations import Expectation, ExpectationFailed
from comfyfarm.testing.plugin.marker import AnyConfig, BadMarker, MarkerArgs, read_marker
from comfyfarm.testing.plugin.stash import MARKER, RERUN, SESSION

AnyFarm = JudgedFarm[Any]
F = TypeVar("F", bound=AnyFarm)


@dataclass(frozen=True)
class Rerun:
    """A repetition of a test with other faults.

    :ivar seeds: of its farms in the order of their start, as in the first run.
    """

    faults: Sequence[Table]
    seeds: Sequence[int]


@dataclass(eq=False)
class TestSession:
    """The farms of one run of one test.

    :ivar trial: the name of the trial that begins with each farm; ``None`` without a marker.
    :ivar args: the arguments of its markers.
    :ivar seed: of every farm, from the command line or a marker; ``None``: as configured.
    :ivar rerun: ``None`` in the first run.
    :ivar failures: for each farm that is not what the marker expects, the error that says so.
    """

    trial: str | None
    args: MarkerArgs
    seed: int | None
    rerun: Rerun | None = None
    farms: list[AnyFarm] = field(default_factory=list)
    failures: list[ExpectationFailed] = field(default_factory=list)

    def config(self, config: AnyConfig | None = None) -> AnyConfig:
        """Return the configuration of the next farm, with the marker's seed, faults and scenarios.

        :param config: ``None``: the marker's; if it has none, the default farm of one instance.
        """
        own = self.args.config if config is None else config
        return self._overlay().over({} if own is None else own)

    def config_of_child(self, config: AnyConfig | None = None) -> ConfigSource:
        """Return the same for a farm in a child process.

        :raises TypeError: if it is a FarmConfig, which is for farms in this process.
        """
        config = self.config(config)
        if isinstance(config, FarmConfig):
            raise TypeError("comfy_farm takes a path, a dictionary or TOML text, no FarmConfig")
        return config

    def _overlay(self) -> Overlay:
        overlay = Overlay(self.seed, self.args.faults, self.args.scenario)
        if self.rerun is None:
            return overlay
        number = len(self.farms)
        seed = self.rerun.seeds[number] if number < len(self.rerun.seeds) else overlay.seed
        return replace(overlay, seed=seed, faults=self.rerun.faults)

    def add(self, farm: F) -> F:
        """Add a farm that the test has started, and return it; with a marker, a trial begins."""
        self.farms.append(farm)
        if self.trial is not None:
            farm.trial(self.trial, jobs=self.args.jobs, delivery=self.args.delivery)
        return farm

    def check_verdicts(self) -> None:
        """Fail the test unless each of its farms has the marker's verdict, number of jobs and none of its findings.

        :raises pytest.fail.Exception: with the findings.
        """
        expectation = self.args.expectation()
        if expectation is None:
            return
        errors = [error for farm in self.farms for error in self._errors(farm, expectation)]
        if errors:
            pytest.fail("\n\n".join(errors), pytrace=False)

    def failures_of(self, error: BaseException) -> list[ExpectationFailed]:
        """Return what the test's error says about its farms: a failed assertion, or what the marker expects."""
        return [error] if isinstance(error, ExpectationFailed) else self.failures

    def _errors(self, farm: AnyFarm, expectation: Expectation) -> Iterator[str]:
        view = farm.evidence
        try:
            verdict = view.verdict()
            error = None if expectation.is_met_by(verdict) else expectation.error(verdict, view.timeline())
        except OSError as gone:
            yield f"@pytest.mark.{MARKER}: a farm that is gone cannot be judged: {gone}"
            return
        if error is not None:
            error.farm = farm
            self.failures.append(error)
            yield f"@pytest.mark.{MARKER}: {error}"


def begin_session(item: pytest.Item) -> TestSession:
    """Read the markers of a test that is about to start, and store its session.

    :raises pytest.fail.Exception: if a marker is invalid.
    """
    try:
        args = read_marker(item)
    except BadMarker as error:
        raise pytest.fail.Exception(str(error), pytrace=False) from None
    option: Any = item.config.getoption("comfy_seed")
    trial = None if item.get_closest_marker(MARKER) is None else item.nodeid
    session = TestSession(trial, args, args.seed if option is None else option, item.stash.get(RERUN, None))
    item.stash[SESSION] = session
    return session


def session_of(item: pytest.Item) -> TestSession:
    """Return the session of a test; a test without a marker begins it here."""
    session: TestSession | None = item.stash.get(SESSION, None)
    return begin_session(item) if session is None else session
