"""Which dispatcher is tested: ``pytest examples --dispatcher naive`` takes the one that has the bugs."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable
from dataclasses import dataclass, field
from typing import Any

import pytest
import pytest_twisted
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.task import deferLater

from comfyfarm.testing import TwistedFarm
from examples.dispatcher import (
    Backend,
    Dispatcher,
    GaveUp,
    Job,
    JobFailed,
    NaiveDispatcher,
    Policy,
    Rejected,
    Result,
    ShortestQueue,
    StaleQueue,
)


def pytest_addoption(parser: pytest.Parser) -> None:
    """``--dispatcher``."""
    parser.addoption("--dispatcher", choices=("good", "naive"), default="good", help="which one is tested")


@dataclass(eq=False)
class Stage:
    """A farm, and the dispatcher under test in front of it.

    :ivar results: what the user got, in that order.
    :ivar failures: what the user was told instead, by the job's name.
    """

    farm: TwistedFarm
    backends: list[Backend]
    kind: type[Dispatcher]
    policy: Policy
    results: list[Result] = field(default_factory=list)
    failures: dict[str, Exception] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Have the dispatcher wait on the farm's clock, which jumps."""
        self.dispatcher = self.kind(self.backends, self.policy, self._deliver, self.farm.clock)

    async def run(self, jobs: Iterable[Job], every_s: float = 0) -> None:
        """Hand the jobs in, one every so many seconds, and wait until each is done or has failed."""
        running = []
        for job in jobs:
            running.append(Deferred.fromCoroutine(self._see_through(job)))
            await deferLater(self.farm.clock, every_s)
        await gatherResults(running)

    async def _see_through(self, job: Job) -> None:
        order = self.farm.order(job.name)
        try:
            await self.dispatcher.run(job)
        except (GaveUp, JobFailed, Rejected) as why:
            self.failures[job.name] = why
            order.failed(str(why))

    async def _deliver(self, result: Result) -> None:
        """Be the user: the farm learns who got what, so that it can tell a wrong picture from a right one.

        Together with the orders and failures that ``_see_through`` reports, it knows what became of every order.
        """
        self.results.append(result)
        (picture, *_) = result.pictures or [None]
        self.farm.delivered(result.job.name, prompt_id=result.prompt_id, instance=result.backend, picture=picture)

    async def all_is_well(self) -> None:
        """The farm has seen nothing wrong, and every user has a picture."""
        __tracebackhide__ = True
        await self.farm.assert_verdict("pass")
        assert not self.failures
        assert all(each.pictures for each in self.results)


@pytest_twisted.async_yield_fixture()
async def stage(
    request: pytest.FixtureRequest, twisted_farm: Callable[[Any], Coroutine[Any, Any, TwistedFarm]]
) -> AsyncIterator[Callable[..., Awaitable[Stage]]]:
    """Start farms that have the dispatcher under test in front of them.

    Each dispatcher has its usual policy, unless the test names one: ``on = await stage(config, RoundRobin())``.
    """
    is_naive = request.config.getoption("--dispatcher") == "naive"
    stages: list[Stage] = []

    async def start(config: Any, policy: Policy | None = None) -> Stage:
        from twisted.internet import reactor

        farm = await twisted_farm(config)
        await farm.control.auto(quiet="0ms")    # the dispatcher is in this process: nobody else has to be waited for
        backends = [Backend(name, each.url, reactor, farm.clock) for name, each in farm.instances.items()]
        kind, own = (NaiveDispatcher, StaleQueue(farm.clock)) if is_naive else (Dispatcher, ShortestQueue())
        stages.append(Stage(farm, backends, kind, policy or own))
        return stages[-1]

    yield start
    for each in stages:
        for backend in each.backends:
            await backend.close()
