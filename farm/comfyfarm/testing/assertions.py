"""The results of a run, and assertions about them, which may be given time to become true."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar, Unpack

from comfyfarm.analysis.journal import Journal
from comfyfarm.analysis.placement.placement import Placement
from comfyfarm.analysis.verdict import Verdict
from comfyfarm.control.schema.analysis import DeliveryFacts, OrderReport, TrialFacts
from comfyfarm.events.stamp import Stamp
from comfyfarm.testing.expectations import (
    Expectation,
    ExpectationFailed,
    expect_no_finding,
    expect_none_of,
    expect_verdict,
    with_jobs,
)
from comfyfarm.testing.view import FarmView
from comfyfarm.testing.waiting import WaitStep, Within, steps_until_met

R = TypeVar("R")


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


class Assertions(Generic[R]):
    """Assertions about the run of a farm.

    Each takes ``within``: simulated time if the clock is virtual (the farm is advanced until the assertion is true, or
    the time is up), real time otherwise.  Each takes ``jobs``, the number of logical jobs that must have come, neither
    fewer nor more; ``None``: any.  Each raises :class:`~comfyfarm.testing.ExpectationFailed`, an ``AssertionError``.
    ``R`` is ``None``, or a coroutine if the assertions are awaited.

    Invalid arguments raise ``ConfigError`` or ``ValueError`` in this process, and ``HttpStatusError`` for a farm in
    another one.
    """

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


class JudgedFarm(Assertions[R]):
    """The base of all farms: the results of a run, and assertions about them."""

    _own_trial: str | None = None       # side by side with others; None for the current trial

    @property
    def evidence(self) -> FarmView:
        """What the farm knows about its run."""
        raise NotImplementedError

    def verdict(self, /, **settings: Any) -> Verdict:
        """Return what the trial so far proves about the system under test: ``farm.verdict(reaction="5s").findings``.

        :param settings: the bounds that differ from the defaults (docs/verdict.md); a number for a duration is seconds.
            ``trial="NAME"``: of another trial; ``since=SEQ``: of what came after an event; ``client="GLOB"``: only the
            jobs of these clients count.
        """
        return self._view().verdict(**settings)

    def placement(self, /, **settings: Any) -> Placement:
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
