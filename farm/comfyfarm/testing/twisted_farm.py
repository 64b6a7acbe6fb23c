"""A farm in the test's own reactor, on real sockets."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

from twisted.internet.defer import maybeDeferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater

from comfyfarm.clients.comfy import ComfyClient
from comfyfarm.clients.control import FarmControl
from comfyfarm.config import FarmConfig
from comfyfarm.control.app import FarmApp
from comfyfarm.server.backend import Backend
from comfyfarm.server.farm import make_farm
from comfyfarm.server.ports import TcpPort
from comfyfarm.server.time.monotonic import use_monotonic_clock
from comfyfarm.testing.expectations import Expectation
from comfyfarm.testing.in_process import InProcessFarm, LiveFault, LiveGate, in_seconds
from comfyfarm.testing.waiting import Within

F = TypeVar("F", bound=LiveFault)


@dataclass(eq=False, repr=False)
class TwistedInstance:
    """An instance in this reactor.

    :ivar client: a client of the instance, for the test's own requests.
    """

    name: str
    url: str
    backend: Backend
    client: ComfyClient


@dataclass(eq=False, repr=False)
class TwistedFarm(InProcessFarm[Coroutine[Any, Any, None]]):
    """A farm in the test's own reactor, on real sockets: ``farm["gpu-1"].url``.

    :ivar control: a client of the control server.
    """

    control: FarmControl
    instances: dict[str, TwistedInstance] = field(default_factory=dict)

    @classmethod
    async def start(cls, reactor: Any, config: FarmConfig) -> TwistedFarm:
        """Start a farm.

        :raises CannotStart: if a port is taken.
        """
        use_monotonic_clock(reactor)
        bind, unix_ms = TcpPort.binder(reactor), int(time.time() * 1000)
        farm_service = make_farm(
            config, reactor=reactor, clock=reactor, bind=bind, unix_ms=unix_ms, wall_s=time.time
        )
        app = FarmApp(farm_service)
        app.startService()
        farm = cls(app, FarmControl(app.server.url, app.server.access.token, reactor=reactor))
        for name, backend in app.farm.backends.items():
            client = ComfyClient(backend.url, reactor=reactor)
            farm.instances[name] = TwistedInstance(name, backend.url, backend, client)
        return farm

    async def stop(self) -> None:
        """Stop the farm, close all connections and remove its files; a second call does nothing."""
        if not self.app.running:
            return
        for instance in self.instances.values():
            await instance.client.close()
        await self.control.close()
        await maybeDeferred(self.app.stopService)

    def __getitem__(self, name: str) -> TwistedInstance:
        return self.instances[name]

    async def advance(self, duration: str | float) -> int:
        """Advance the clock (``"10s"``, or seconds), and return the simulated time in milliseconds.

        :raises WrongClock: unless the configuration says ``[farm] clock = "virtual"``.
        """
        await self.farm.clock_control.advance(in_seconds(duration))
        return self.farm.time.now_ms()

    async def run_until_idle(self, limit: str | float = "24h") -> int:
        """Advance the clock until nothing is due, and return the simulated time in milliseconds.

        :raises TimeoutError: if something is still due after ``limit``.
        :raises WrongClock: unless the configuration says ``[farm] clock = "virtual"``.
        """
        return self._idle_at(is_idle=await self.farm.clock_control.run_until_idle(in_seconds(limit)))

    @asynccontextmanager
    async def fault(self, **table: Any) -> AsyncIterator[LiveFault]:
        """Arm a fault inside a block: ``async with farm.fault(do="reset", at="reply", on="gpu-1") as fault:``.

        It is written as ``[[fault]]`` of a configuration; at the end of the block it is removed, and what it holds
        continues.

        :raises ConfigError: if it is no fault, or cannot fire at that phase.
        :raises UnknownFault: if its glob matches no instance, or its id is taken.
        """
        async with self._removing(LiveFault.arm(self.farm.fault_controller, table)) as fault:
            yield fault

    @asynccontextmanager
    async def hold(self, **table: Any) -> AsyncIterator[LiveGate]:
        """Close a gate inside a block: ``async with farm.hold(on="gpu-1", at="history") as gate:``."""
        async with self._removing(LiveGate.arm(self.farm.fault_controller, {"do": "hold", **table})) as gate:
            yield gate

    @asynccontextmanager
    async def _removing(self, fault: F) -> AsyncIterator[F]:
        try:
            yield fault
        finally:
            if self.farm.running:
                fault.remove()
                await self._ports_settled()

    async def heal(self) -> None:
        """Remove all faults, open all gates, and start or resume every instance."""
        self.farm.fault_controller.heal()
        await self._ports_settled()

    async def _expect(self, expectation: Expectation, within: Within) -> None:
        __tracebackhide__ = True
        reactor = self.farm.reactor
        await deferLater(reactor, 0)    # a test that asserts in a loop must let the reactor run
        for step in self._steps(expectation, within, reactor.seconds):
            if step.advance_ms:
                await self.advance(step.advance_ms / 1000)
            await deferLater(reactor, step.pause_s)

    async def _ports_settled(self) -> None:
        for instance in self.instances.values():
            await instance.backend.port.settled()

    @property
    def urls(self) -> list[str]:
        """The base URL of each instance, in the order of the configuration."""
        return [instance.url for instance in self.instances.values()]

    @property
    def clock(self) -> IReactorTime:
        """The farm's clock; software that also waits on it shares the simulated time of a virtual farm."""
        return self.farm.clock_control.clock
