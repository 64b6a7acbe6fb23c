"""Assertions about a run, which say what happened where they fail; each may be given time to come true."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

from comfyfarm.analysis.findings.finding import moment
from comfyfarm.control.schema.farm import ClockState
from comfyfarm.testing.claims import Expectation, no_finding, that_verdict
from comfyfarm.testing.evidence import FarmView
from comfyfarm.units import Duration

R = TypeVar("R")

Within = str | float | None
"""How long something may take to come true: a duration (``"5s"``) or seconds; ``None``: it must be so now."""

BREATH_S = 0.005
"""What software on real sockets gets between two steps of a virtual clock, to answer what it was told."""

_POLL_S = 0.02
_STEPS = 200        # of a virtual clock's way, at most: each is judged
_PATIENCE_S = 30.0  # in real time, with a virtual clock that moves by itself and is not let


@dataclass(frozen=True)
class AdvanceClock:
    """Let so much simulated time pass, by moving the clock."""

    by_ms: int


@dataclass(frozen=True)
class Pause:
    """Let so much real time pass."""

    for_s: float


class Assertions(Generic[R]):
    """What a test may assert of a farm.

    Each method takes ``within``: of simulated time where the clock is virtual (the farm is moved until it is so, or the
    time is up), of real time otherwise.  Each raises :class:`~comfyfarm.testing.claims.ExpectationFailed`, an
    ``AssertionError``.
    """

    def _hold(self, claim: Expectation, within: Within) -> R:
        raise NotImplementedError

    def assert_verdict(self, wanted: str = "pass", *, within: Within = None) -> R:
        """The verdict is ``pass``, ``fail`` or ``unknown``."""
        return self._hold(that_verdict(wanted), within)

    def assert_no(self, *findings: str, within: Within = None) -> R:
        """Nothing of these kinds is found, by the names of docs/verdict.md: ``assert_no("retry_storm", "orphaned")``.

        :raises ValueError: where there is no such finding.
        """
        return self._hold(no_finding(f"there is no {' or '.join(findings)}", *findings), within)

    def assert_no_lost_jobs(self, *, within: Within = None) -> R:
        """No job went down with an instance without being sent again; ``within`` is the time that its client has."""
        return self._hold(no_finding("no job is lost", "lost", reaction=0), within)

    def assert_all_finished(self, *, within: Within = None) -> R:
        """Every job has come to an end that its client knows of, and none is lost or given up without a second try."""
        return self._hold(no_finding("all jobs are finished", "unfinished", "stuck", "lost", "no_retry"), within)

    def assert_nothing_ran_twice(self, *, within: Within = None) -> R:
        """No logical job has two successful runs."""
        return self._hold(no_finding("nothing ran twice", "ran_twice"), within)

    def assert_nothing_delivered_twice(self, *, within: Within = None) -> R:
        """No logical job was delivered twice."""
        return self._hold(no_finding("nothing was delivered twice", "delivered_twice"), within)

    def assert_nothing_misattributed(self, *, within: Within = None) -> R:
        """Nobody was given the result of somebody else's job."""
        return self._hold(no_finding("everybody got what is theirs", "misattributed"), within)

    def assert_no_false_completion(self, *, within: Within = None) -> R:
        """No job was said to be done that had not run to its end."""
        return self._hold(no_finding("what was said to be done had been done", "false_completion"), within)


def held(
    claim: Expectation, evidence: FarmView, within: Within, seconds: Callable[[], float]
) -> Iterator[AdvanceClock | Pause]:
    """What has to be done, one after another, until a claim is so.

    :param seconds: the real time.
    :raises Disproved: where it is not so in time.
    """
    __tracebackhide__ = True
    patience = _Patience.of(evidence.clock(), within, seconds)
    while not claim.is_met_by(verdict := evidence.verdict(**claim.bounds)):
        step = patience.next(evidence.clock())
        if step is None:
            raise claim.objection(verdict, evidence.timeline(), patience.in_words)
        yield step


@dataclass(frozen=True)
class _Patience:
    """How long to wait, and in which steps.

    :ivar until_ms: on a virtual clock, the simulated moment.
    :ivar until_s: in real time.
    """

    within_ms: int
    seconds: Callable[[], float]
    until_ms: int | None
    until_s: float

    @classmethod
    def of(cls, clock: ClockState, within: Within, seconds: Callable[[], float]) -> _Patience:
        within_ms = _in_ms(within)
        if clock.clock == "virtual":
            return cls(within_ms, seconds, clock.at_ms + within_ms, seconds() + max(_PATIENCE_S, within_ms / 1000))
        return cls(within_ms, seconds, None, seconds() + within_ms / 1000)

    def next(self, clock: ClockState) -> AdvanceClock | Pause | None:
        """What to do now; ``None`` when the time is up."""
        left_s = self.until_s - self.seconds()
        if self.until_ms is None:
            return Pause(min(_POLL_S, left_s)) if left_s > 0 else None
        left_ms = self.until_ms - clock.at_ms
        if left_ms <= 0:
            return None
        if clock.next_ms is None:
            return AdvanceClock(left_ms)
        if clock.auto:      # it moves by itself, when the sockets are quiet
            return Pause(_POLL_S) if left_s > 0 else None
        return AdvanceClock(min(left_ms, max(clock.next_ms - clock.at_ms, self.within_ms // _STEPS, 1)))

    @property
    def in_words(self) -> str:
        """The time that there was; empty for none."""
        if not self.within_ms:
            return ""
        return f"{moment(self.within_ms)} of {'real' if self.until_ms is None else 'simulated'} time"


def _in_ms(within: Within) -> int:
    if within is None:
        return 0
    return int(Duration.parse(within)) if isinstance(within, str) else round(within * 1000)
