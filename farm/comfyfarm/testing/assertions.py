"""The results of a run, and assertions about them, which may be given time to become true."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, NamedTuple, Protocol, Self, TypeVar, Unpack

import msgspec

from comfyfarm.analysis.findings.finding import moment
from comfyfarm.analysis.journal import Journal
from comfyfarm.analysis.placement.placement import Placement
from comfyfarm.analysis.verdict import Verdict
from comfyfarm.control.schema.analysis import DeliveryFacts, OrderReport, TrialFacts
from comfyfarm.control.schema.farm import ClockState
from comfyfarm.events.stamp import Stamp
from comfyfarm.testing.expectations import (
    Expectation,
    ExpectationFailed,
    expect_no_finding,
    expect_none_of,
    expect_verdict,
    with_jobs,
)
from comfyfarm.units import Duration

R = TypeVar("R")

Within = str | float | None
"""The time in which something may become true: a duration (``"5s"``) or seconds; ``None``: it must be true now."""

WHICH = frozenset({"trial", "since", "client"})
"""The arguments of ``verdict`` and ``placement`` that say which part of the log these are about."""

_BREATH_S = 0.005           # for software on sockets, to react to what it received in a step of a virtual clock
_POLL_S = 0.02
_MAX_STEPS = 200            # of a virtual clock: after each the run is judged, which takes time
_VIRTUAL_TIMEOUT_S = 30.0   # in real time, for a virtual clock under ``auto`` that does not get on


class FaultFirings(msgspec.Struct, frozen=True, kw_only=True):
    """How often a fault has fired.

    :ivar on: the number of firings by instance; instances without one are left out.
    """

    id: str
    do: str
    phase: str
    on: dict[str, int]

    @classmethod
    def of(cls, fault_id: str, table: Mapping[str, Any], fired: Mapping[str, int]) -> Self:
        """Return the firings of a fault that is given as its table in the configuration."""
        at = table.get("at")
        phase = at.get("phase") if isinstance(at, Mapping) else at
        on = {name: count for name, count in fired.items() if count}
        return cls(id=fault_id, do=str(table.get("do")), phase=str(phase), on=on)


class FarmView(Protocol):
    """What a farm in this process or in another one knows about its run."""

    def verdict(self, **settings: Any) -> Verdict: ...

    def placement(self, **settings: Any) -> Placement: ...

    def trial(self, name: str | None, **facts: Unpack[TrialFacts]) -> str: ...

    def report_orders(self, *reports: OrderReport) -> None: ...

    def delivered(self, job: str, **facts: Unpack[DeliveryFacts]) -> Stamp | None: ...

    def journal(self) -> Journal: ...

    def clock(self) -> ClockState: ...

    def seed(self) -> int: ...

    def faults(self) -> Sequence[FaultFirings]:
        """Return all faults in the order in which they were armed."""

    def timeline(self) -> str:
        """Return the timeline as plain text."""

    def page(self) -> str:
        """Return the report as an HTML document."""


@dataclass(frozen=True)
class Order:
    """A user's order, to report what becomes of it."""

    job: str
    _view: FarmView = field(repr=False)

    def delivered(self, **facts: Unpack[DeliveryFacts]) -> Stamp | None:
        """Report that its user has got the result; see :meth:`JudgedFarm.delivered`."""
        return self._view.delivered(self.job, **facts)

    def failed(self, why: str = "", *, at_ms: int | None = None) -> None:
        """Report that its user was told that it failed.

        :param at_ms: the simulated time of it; ``None``: now.
        """
        self._view.report_orders(OrderReport(job=self.job, state="failed", at_ms=at_ms, why=why))

    def withdrawn(self, *, at_ms: int | None = None) -> None:
        """Report that its user wants it no more."""
        self._view.report_orders(OrderReport(job=self.job, state="withdrawn", at_ms=at_ms))


class WaitStep(NamedTuple):
    """What to do before an expectation is checked again: advance the virtual clock, and then wait in real time."""

    advance_ms: int
    pause_s: float


class JudgedFarm(Generic[R]):
    """The base of all farms: the results of a run, and assertions about them.

    Each assertion takes ``within``: simulated time if the clock is virtual (the farm is advanced until the assertion is
    true, or the time is up), real time otherwise.  Each takes ``jobs``, the number of logical jobs that must have come,
    neither fewer nor more; ``None``: any.  Each raises :class:`~comfyfarm.testing.ExpectationFailed`, an
    ``AssertionError``.  ``R`` is ``None``, or a coroutine if the assertions are awaited.

    Invalid arguments raise ``ConfigError`` or ``ValueError`` in this process, and ``HttpStatusError`` for a farm in
    another one.
    """

    _own_trial: str | None = None       # side by side with others; None for the current trial

    @property
    def evidence(self) -> FarmView:
        """What the farm knows about its run."""
        raise NotImplementedError

    def verdict(self, **settings: Any) -> Verdict:
        """Return what the trial so far proves about the system under test: ``farm.verdict(reaction="5s").findings``.

        :param settings: the bounds that differ from the defaults (docs/verdict.md); a number for a duration is seconds.
            ``trial="NAME"``: of another trial; ``since=SEQ``: of what came after an event; ``client="GLOB"``: only the
            jobs of these clients count.
        """
        return self._view().verdict(**settings)

    def placement(self, **settings: Any) -> Placement:
        """Return how well the system under test has placed its work: ``farm.placement().herding.longest``.

        :param settings: the terms that differ from the defaults (docs/placement.md), and those of :meth:`verdict`.
        """
        return self._view().placement(**settings)

    def trial(self, name: str | None = None, **facts: Unpack[TrialFacts]) -> str:
        """Begin a new trial and return its name: verdict, assertions and all else are about what comes from here on.

        :param name: none of an earlier trial; ``None`` for ``trial-N``.
        :param facts: ``jobs``: the number of orders that it will have; ``delivery``: what counts as delivered;
            ``client``: a glob of client ids, for a trial side by side with others (docs/testing.md).
        :raises ValueError: if there is a trial of that name; for a farm in another process ``HttpStatusError``.
        """
        name = self._view().trial(name, **facts)
        self._own_trial = name if facts.get("client") else None
        return name

    def delivered(self, job: str, **facts: Unpack[DeliveryFacts]) -> Stamp | None:
        """Report that the system under test has delivered a result to its user, and return the picture's stamp.

        :param job: the logical job that the user asked for.
        :param facts: ``prompt_id``, ``instance`` and ``file``, as far as they are known, and the ``picture`` or its
            ``stamp``.
        :returns: ``None`` if the picture has no stamp.
        """
        return self._view().delivered(job, **facts)

    def order(self, job: str, *, at_ms: int | None = None) -> Order:
        """Report that a user asked for a picture, and return the order, to report what becomes of it.

        :param job: the logical job that will make it.
        :param at_ms: the simulated time at which the user asked; ``None``: now.
        """
        return self.orders(job, at_ms=at_ms)[0]

    def orders(self, *jobs: str, at_ms: int | None = None) -> list[Order]:
        """Report several orders at once."""
        self._view().report_orders(*(OrderReport(job=job, at_ms=at_ms) for job in jobs))
        return [Order(job, self._view()) for job in jobs]

    @property
    def log(self) -> Journal:
        """The journal of the requests, frames and other events of the trial: ``farm.log.requests(route="/prompt")``."""
        return self._view().journal()

    def _view(self) -> FarmView:
        return self.evidence

    def _steps(self, expectation: Expectation, within: Within, seconds: Callable[[], float]) -> Iterator[WaitStep]:
        __tracebackhide__ = True
        try:
            yield from steps_until_met(expectation, self._view(), within, seconds)
        except ExpectationFailed as error:
            error.farm = self
            raise

    def _expect(self, expectation: Expectation, within: Within) -> R:
        raise NotImplementedError

    def _expect_no(self, says: str, *names: str, jobs: int | None, within: Within, **bounds: Any) -> R:
        return self._expect(with_jobs(expect_no_finding(says, *names, **bounds), jobs), within)

    def assert_verdict(self, wanted: str = "pass", *, jobs: int | None = None, within: Within = None) -> R:
        """Assert that the verdict is ``pass``, ``fail`` or ``unknown``; without a job it is *unknown*."""
        return self._expect(expect_verdict(wanted, jobs), within)

    def assert_no(self, *findings: str, jobs: int | None = None, within: Within = None) -> R:
        """Assert that there are no findings of these names (docs/verdict.md): ``assert_no("retry_storm", "orphaned")``.

        :raises ValueError: if there is no such finding.
        """
        return self._expect(with_jobs(expect_none_of(*findings), jobs), within)

    def assert_no_lost_jobs(self, *, jobs: int | None = None, within: Within = None) -> R:
        """Assert that every job that was lost with its instance has been submitted again.

        ``within`` is all the time that the client has for it: the bound ``reaction`` is 0 here.
        """
        return self._expect_no("no job is lost", "lost", jobs=jobs, within=within, reaction=0)

    def assert_all_finished(self, *, jobs: int | None = None, within: Within = None) -> R:
        """Assert that every job has ended and its user has the result or was told why not, as far as the log shows it.

        A job whose only attempt failed is not finished: its client has to try again.  Without ``jobs``, at least one
        job must have come.
        """
        some = ("no_job",) if jobs is None else ()
        names = ("unfinished", "stuck", "lost", "no_retry", "orphaned", "undelivered", *some)
        return self._expect_no("all jobs are finished", *names, jobs=jobs, within=within)

    def assert_nothing_ran_twice(self, *, jobs: int | None = None, within: Within = None) -> R:
        """Assert that no logical job has two successful attempts."""
        return self._expect_no("nothing ran twice", "ran_twice", jobs=jobs, within=within)

    def assert_nothing_delivered_twice(self, *, jobs: int | None = None, within: Within = None) -> R:
        """Assert that no logical job was delivered twice."""
        return self._expect_no("nothing was delivered twice", "delivered_twice", jobs=jobs, within=within)

    def assert_nothing_misattributed(self, *, jobs: int | None = None, within: Within = None) -> R:
        """Assert that no user got the result of another user's job."""
        return self._expect_no("everybody got what is theirs", "misattributed", jobs=jobs, within=within)

    def assert_no_false_completion(self, *, jobs: int | None = None, within: Within = None) -> R:
        """Assert that no job was reported as done before it was."""
        return self._expect_no("what was said to be done had been done", "false_completion", jobs=jobs, within=within)


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
