"""Waiting until an expectation is met, on a real clock or on a virtual one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from comfyfarm.analysis.findings.finding import moment
from comfyfarm.control.schema.farm import ClockState
from comfyfarm.testing.expectations import Expectation
from comfyfarm.testing.view import FarmView
from comfyfarm.units import Duration

Within = str | float | None
"""The time in which something may become true: a duration (``"5s"``) or seconds; ``None``: it must be true now."""

_BREATH_S = 0.005           # for software on sockets, to react to what it received in a step of a virtual clock
_POLL_S = 0.02
_MAX_STEPS = 200            # of a virtual clock: after each the run is judged, which takes time
_VIRTUAL_TIMEOUT_S = 30.0   # in real time, for a virtual clock under ``auto`` that does not get on


class WaitStep(NamedTuple):
    """What to do before an expectation is checked again: advance the virtual clock, and then wait in real time."""

    advance_ms: int
    pause_s: float


def steps_until_met(
    expectation: Expectation, view: FarmView, within: Within, seconds: Callable[[], float]
) -> Iterator[WaitStep]:
    """Yield the steps to take, one after the other, until an expectation is met.

    :param seconds: returns the real time.
    :raises ExpectationFailed: if it is not met in time.
    """
    __tracebackhide__ = True
    deadline = _Deadline.after(within, view.clock(), seconds)
    while not expectation.is_met_by(verdict := view.verdict(**expectation.bounds)):
        step = deadline.next_step(clock := view.clock(), awaits_jobs=expectation.awaits_jobs(verdict))
        if step is None:
            raise expectation.error(verdict, view.timeline(), deadline.as_text(clock))
        yield step


@dataclass(frozen=True)
class _Deadline:
    """The time until which an expectation may be met.

    :ivar until_ms: in simulated time; ``None`` if the clock is real.
    :ivar until_s: in real time.
    """

    within_ms: int
    seconds: Callable[[], float]
    until_ms: int | None
    until_s: float

    @classmethod
    def after(cls, within: Within, clock: ClockState, seconds: Callable[[], float]) -> _Deadline:
        within_ms = _milliseconds(within)
        if clock.clock == "virtual":
            until_s = seconds() + max(_VIRTUAL_TIMEOUT_S, within_ms / 1000)
            return cls(within_ms, seconds, clock.at_ms + within_ms, until_s)
        return cls(within_ms, seconds, None, seconds() + within_ms / 1000)

    def next_step(self, clock: ClockState, *, awaits_jobs: bool) -> WaitStep | None:
        """Return the next step; ``None`` if the time is up.

        :param awaits_jobs: the software under test has still to send some, which takes it real time.
        """
        left_s = self.until_s - self.seconds()
        if self.until_ms is None:
            return WaitStep(0, min(_POLL_S, left_s)) if left_s > 0 else None
        left_ms = self.until_ms - clock.at_ms
        if left_ms <= 0:
            return None
        if clock.auto and clock.next_ms is not None:      # the farm advances it itself, when the sockets are quiet
            return WaitStep(0, _POLL_S) if left_s > 0 else None
        shortest_ms = max(self.within_ms // _MAX_STEPS, 1)
        if awaits_jobs:
            return WaitStep(min(left_ms, shortest_ms), _POLL_S)
        if clock.next_ms is None:
            return WaitStep(left_ms, _BREATH_S)
        return WaitStep(min(left_ms, max(clock.next_ms - clock.at_ms, shortest_ms)), _BREATH_S)

    def as_text(self, clock: ClockState) -> str:
        """Return the time that is up; empty if none was allowed."""
        if not self.within_ms:
            return ""
        if self.until_ms is None:
            return f"{moment(self.within_ms)} of real time"
        if clock.at_ms < self.until_ms:     # under auto
            return f"{moment(max(round(_VIRTUAL_TIMEOUT_S * 1000), self.within_ms))} of real time"
        return f"{moment(self.within_ms)} of simulated time"


def _milliseconds(within: Within) -> int:
    if within is None:
        return 0
    return int(Duration.parse(within)) if isinstance(within, str) else round(within * 1000)
