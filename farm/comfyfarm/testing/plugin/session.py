"""One run of one test: the farms that it started, what they are made of, and what they are judged to be."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol, TypeVar

import pytest

from comfyfarm.config import FarmConfig
from comfyfarm.config.overlay import Overlay, Table
from comfyfarm.config.sources import ConfigSource
from comfyfarm.testing.claims import that_verdict
from comfyfarm.testing.evidence import FarmView
from comfyfarm.testing.plugin.marker import AnyConfig, BadMarker, MarkerArgs, read_marker
from comfyfarm.testing.plugin.stash import MARKER, RERUN, SESSION


class HasEvidence(Protocol):
    """A farm of any of the fixtures."""

    @property
    def evidence(self) -> FarmView:
        """What it knows of itself."""


F = TypeVar("F", bound=HasEvidence)


@dataclass(frozen=True)
class Rerun:
    """A test is run again, with other faults.

    :ivar seeds: of its farms, in their order, as they were before.
    """

    faults: Sequence[Table]
    seeds: Sequence[int]


@dataclass(eq=False)
class TestSession:
    """The farms of one run of one test.

    :ivar asked: by its markers.
    :ivar seed: of every farm, from the command line or a marker; ``None``: as configured.
    :ivar again: where it is not the first run.
    :ivar findings: the names of those that the marker's verdict failed by.
    """

    asked: MarkerArgs
    seed: int | None
    again: Rerun | None = None
    farms: list[HasEvidence] = field(default_factory=list)
    findings: frozenset[str] = frozenset()

    def config(self, given: AnyConfig | None = None) -> AnyConfig:
        """What the next farm is made of: what the test gives, else the marker's, else a farm of one instance."""
        own = self.asked.config if given is None else given
        return self._overlay().over({} if own is None else own)

    def tables(self, given: AnyConfig | None = None) -> ConfigSource:
        """The same for a farm in a process of its own.

        :raises TypeError: where it is a FarmConfig, which is for farms in this process.
        """
        config = self.config(given)
        if isinstance(config, FarmConfig):
            raise TypeError("comfy_farm takes a path, a dictionary or TOML text, no FarmConfig")
        return config

    def _overlay(self) -> Overlay:
        overlay = Overlay(self.seed, self.asked.faults, self.asked.scenarios)
        if self.again is None:
            return overlay
        number = len(self.farms)
        seed = self.again.seeds[number] if number < len(self.again.seeds) else overlay.seed
        return replace(overlay, seed=seed, faults=self.again.faults)

    def add(self, farm: F) -> F:
        """The test has started a farm."""
        self.farms.append(farm)
        return farm

    def judge(self) -> None:
        """Fail the test unless each of its farms is what the marker says.

        :raises pytest.fail.Exception: with the findings.
        """
        if self.asked.verdict is None:
            return
        against = [text for farm in self.farms for text in self._objections(farm.evidence, self.asked.verdict)]
        if against:
            pytest.fail("\n\n".join(against), pytrace=False)

    def _objections(self, evidence: FarmView, wanted: str) -> Iterator[str]:
        claim = that_verdict(wanted)
        try:
            verdict = evidence.verdict()
            disproved = None if claim.is_met_by(verdict) else claim.objection(verdict, evidence.timeline())
        except OSError as why:
            yield f"@pytest.mark.{MARKER}: a farm that is gone cannot be judged: {why}"
            return
        if disproved is not None:
            self.findings |= {each.finding for each in disproved.findings}
            yield f"@pytest.mark.{MARKER}: {disproved}"


def begin(item: pytest.Item) -> TestSession:
    """A test begins to be set up, or its first factory is asked for: read what its markers ask for.

    :raises pytest.fail.Exception: where that is not to be had.
    """
    try:
        asked = read_marker(item)
    except BadMarker as why:
        raise pytest.fail.Exception(str(why), pytrace=False) from None
    option: Any = item.config.getoption("comfy_seed")
    trial = TestSession(asked, asked.seed if option is None else option, item.stash.get(RERUN, None))
    item.stash[SESSION] = trial
    return trial


def trial_of(item: pytest.Item) -> TestSession:
    """Of the test that is run now."""
    trial = item.stash.get(SESSION, None)
    return begin(item) if trial is None else trial
