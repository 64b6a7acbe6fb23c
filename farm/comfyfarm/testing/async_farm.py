"""The farm of a child process for software and tests that run in an asyncio event loop (docs/asyncio.md).

Every request to the farm blocks a thread of asyncio's pool, never the loop.
"""

from __future__ import annotations

from asyncio import get_running_loop, sleep, to_thread
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import update_wrapper
from typing import Any, Concatenate, ParamSpec, Self, TypeVar, Unpack

from comfyfarm.analysis.journal import Journal
from comfyfarm.clients.control import AsyncFarmControl
from comfyfarm.config.sources import ConfigSource
from comfyfarm.control.schema.analysis import DeliveryFacts
from comfyfarm.control.schema.faults import Held
from comfyfarm.events.stamp import Stamp
from comfyfarm.testing.assertions import Assertions, Order
from comfyfarm.testing.child import RunningFarm, ServedInstance, run_farm
from comfyfarm.testing.expectations import Expectation
from comfyfarm.testing.remote import RemoteFarm, RemoteFault, RemoteGate
from comfyfarm.testing.waiting import Within

A = TypeVar("A")
P = ParamSpec("P")
Awaited = Coroutine[Any, Any, A]


def _in_thread(function: Callable[Concatenate[Any, P], A]) -> Callable[Concatenate[Any, P], Awaited[A]]:
    """Return a method that runs a method of the blocking farm in a thread; ``help()`` shows the text of the latter."""

    async def run(self: Any, /, *args: P.args, **kwargs: P.kwargs) -> A:
        return await to_thread(function, self.blocking, *args, **kwargs)

    update_wrapper(run, function)
    return run


class AsyncRemoteFarm(Assertions[Awaited[None]]):
    """A farm in another process: :class:`RemoteFarm` with methods and properties that are awaited.

    :ivar blocking: the farm that blocks, for code outside the loop.
    :ivar control: a client of the control server; its methods are awaited.
    """

    def __init__(self, blocking: RemoteFarm) -> None:
        self.blocking = blocking
        self.control = AsyncFarmControl(blocking.control)

    verdict = _in_thread(RemoteFarm.verdict)
    placement = _in_thread(RemoteFarm.placement)
    trial = _in_thread(RemoteFarm.trial)
    delivered = _in_thread(RemoteFarm.delivered)
    reset = _in_thread(RemoteFarm.reset)
    advance = _in_thread(RemoteFarm.advance)
    run_until_idle = _in_thread(RemoteFarm.run_until_idle)
    heal = _in_thread(RemoteFarm.heal)

    async def order(self, job: str, *, at_ms: int | None = None) -> AsyncOrder:
        """Report that a user asked for a picture, and return the order; see :meth:`RemoteFarm.order`."""
        return (await self.orders(job, at_ms=at_ms))[0]

    async def orders(self, *jobs: str, at_ms: int | None = None) -> list[AsyncOrder]:
        """Report several orders at once."""
        return [AsyncOrder(order) for order in await to_thread(self.blocking.orders, *jobs, at_ms=at_ms)]

    @property
    def log(self) -> Awaited[Journal]:
        """The journal of the trial: ``(await farm.log).requests(route="/prompt")``."""
        return to_thread(lambda: self.blocking.log)

    @asynccontextmanager
    async def fault(self, **table: Any) -> AsyncIterator[AsyncFault]:
        """Arm a fault inside a block: ``async with farm.fault(do="reset", at="reply", on="gpu-1") as fault:``.

        See :meth:`RemoteFarm.fault`.
        """
        block = self.blocking.fault(**table)
        fault = AsyncFault(await to_thread(block.__enter__))
        try:
            yield fault
        finally:
            await to_thread(block.__exit__, None, None, None)

    @asynccontextmanager
    async def hold(self, **table: Any) -> AsyncIterator[AsyncGate]:
        """Close a gate inside a block: ``async with farm.hold(on="gpu-1", at="history") as gate:``.

        See :meth:`RemoteFarm.hold`.
        """
        block = self.blocking.hold(**table)
        gate = AsyncGate(await to_thread(block.__enter__))
        try:
            yield gate
        finally:
            await to_thread(block.__exit__, None, None, None)

    async def _expect(self, expectation: Expectation, within: Within) -> None:
        __tracebackhide__ = True
        steps = self.blocking._steps(expectation, within, get_running_loop().time)  # noqa: SLF001 (its twin)
        while (step := await to_thread(next, steps, None)) is not None:
            if step.advance_ms:
                await self.control.advance(step.advance_ms / 1000)
            await sleep(step.pause_s)


class AsyncRunningFarm(AsyncRemoteFarm):
    """A farm in a child process: :class:`RunningFarm` with methods and properties that are awaited.

    Made by :func:`run_async_farm` and the fixture ``async_comfy_farm``.

    :ivar instances: by name, in the order of the configuration.
    :ivar control_url: the URL of the farm's control server.
    """

    def __init__(self, blocking: RunningFarm) -> None:
        super().__init__(blocking)
        self.instances: Mapping[str, ServedInstance] = blocking.instances
        self.control_url = blocking.control_url
        self._child = blocking

    @classmethod
    async def start(cls, config: ConfigSource) -> Self:
        """Start a farm; :meth:`stop` ends it.  For the parameters and errors see :func:`run_farm`."""
        return cls(await to_thread(run_farm, config))

    def __getitem__(self, name: str) -> ServedInstance:
        return self.instances[name]

    @property
    def url(self) -> str:
        """The base URL of the first instance."""
        return self._child.url

    @property
    def urls(self) -> list[str]:
        """The base URL of each instance, in the order of the configuration."""
        return self._child.urls

    stop = _in_thread(RunningFarm.stop)


@asynccontextmanager
async def run_async_farm(config: ConfigSource) -> AsyncIterator[AsyncRunningFarm]:
    """Run a farm in a child process for an ``async with`` block; for the parameters and errors see :func:`run_farm`."""
    farm = await AsyncRunningFarm.start(config)
    try:
        yield farm
    finally:
        await farm.stop()


def attach_async_farm(control_url: str, token: str | None = None) -> AsyncRemoteFarm:
    """Return a farm that runs already; as :func:`attach_farm`."""
    return AsyncRemoteFarm(RemoteFarm(control_url, token))


@dataclass(frozen=True)
class AsyncOrder:
    """A user's order, to report what becomes of it."""

    _order: Order

    @property
    def job(self) -> str:
        return self._order.job

    async def delivered(self, **facts: Unpack[DeliveryFacts]) -> Stamp | None:
        """Report that its user has got the result; see :meth:`RemoteFarm.delivered`."""
        return await to_thread(self._order.delivered, **facts)

    async def failed(self, why: str = "", *, at_ms: int | None = None) -> None:
        """Report that its user was told that it failed.

        :param at_ms: the simulated time of it; ``None``: now.
        """
        await to_thread(self._order.failed, why, at_ms=at_ms)

    async def withdrawn(self, *, at_ms: int | None = None) -> None:
        """Report that its user wants it no more."""
        await to_thread(self._order.withdrawn, at_ms=at_ms)


@dataclass(frozen=True)
class AsyncFault:
    """A fault that the test has armed: ``await fault.fired``."""

    _fault: RemoteFault

    @property
    def id(self) -> str:
        return self._fault.id

    @property
    def fired(self) -> Awaited[int]:
        """The number of firings on all instances."""
        return to_thread(lambda: self._fault.fired)

    @property
    def fired_on(self) -> Awaited[Mapping[str, int]]:
        """The number of firings by instance."""
        return to_thread(lambda: self._fault.fired_on)

    @property
    def state(self) -> Awaited[str]:
        """``armed``, ``expired``, ``healed`` or ``removed``."""
        return to_thread(lambda: self._fault.state)

    async def remove(self) -> None:
        await to_thread(self._fault.remove)


@dataclass(frozen=True)
class AsyncGate(AsyncFault):
    """A gate that the test has closed: ``await gate.held``."""

    _fault: RemoteGate

    @property
    def held(self) -> Awaited[tuple[Held, ...]]:
        """What waits at the gate, in the order of arrival."""
        return to_thread(lambda: self._fault.held)

    async def release(self, count: int | None = None) -> None:
        """Release the first ``count`` of what waits now; ``None``: all of it.  The gate stays closed."""
        await to_thread(self._fault.release, count)
