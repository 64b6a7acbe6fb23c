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
from comfyfarm.control.app import FarmApp, make_app
from comfyfarm.server.backend import Backend
from comfyfarm.server.ports import TcpPort
from comfyfarm.testing.assertions import BREATH_S, AdvanceClock, Assertions, Within, held
from comfyfarm.testing.claims import Expectation
from comfyfarm.testing.in_process import InProcessFarm, LiveFault, LiveGate, in_seconds

F = TypeVar("F", bound=LiveFault)


@dataclass(eq=False)
class TwistedInstance:
    """One instance in this reactor.

    :ivar client: for tests that ask it themselves.
    """

    name: str
    url: str
    backend: Backend
    client: ComfyClient


@dataclass(eq=False)
class TwistedFarm(InProcessFarm, Assertions[Coroutine[Any, Any, None]]):
    """A farm in the test's own reactor, on real sockets: ``farm["gpu-1"].url``.

    :ivar control: the client of its control server.
    """

    app: FarmApp
    control: FarmControl
    instances: dict[str, TwistedInstance] = field(default_factory=dict)

    @classmethod
    async def start(cls, reactor: Any, config: FarmConfig) -> TwistedFarm:
        """Start a farm.

        :raises CannotStart: where a port is taken.
        """
        app = make_app(
            config, reactor=reactor, clock=reactor, bind=TcpPort.binder(reactor), unix_ms=int(time.time() * 1000)
        )
        app.startService()
        started = cls(app, FarmControl(app.server.url, reactor=reactor))
        for name, backend in app.farm.backends.items():
            client = ComfyClient(backend.url, reactor=reactor)
            started.instances[name] = TwistedInstance(name, backend.url, backend, client)
        return started

    async def stop(self) -> None:
        """Stop the farm; no connection and no file is left.  Once is enough."""
        if not self.app.running:
            return
        for instance in self.instances.values():
            await instance.client.close()
        await self.control.close()
        await maybeDeferred(self.app.stopService)

    def __getitem__(self, name: str) -> TwistedInstance:
        """One instance.

        :raises KeyError: where the configuration names no such instance.
        """
        return self.instances[name]

    async def advance(self, duration: str | float) -> int:
        """Let so much simulated time pass (``"10s"``, or seconds), and give the moment then, in milliseconds.

        :raises WrongClock: unless the configuration says ``[farm] clock = "virtual"``.
        """
        await self.farm.clock_control.advance(in_seconds(duration))
        return self.farm.time.now_ms()

    async def run_until_idle(self, limit: str | float = "24h") -> int:
        """Let simulated time pass until nothing is due any more, and give the moment then, in milliseconds.

        :raises TimeoutError: where something is due even after ``limit``.
        :raises WrongClock: unless the configuration says ``[farm] clock = "virtual"``.
        """
        return self._idle_at(is_idle=await self.farm.clock_control.run_until_idle(in_seconds(limit)))

    @asynccontextmanager
    async def fault(self, **table: Any) -> AsyncIterator[LiveFault]:
        """Arm a fault inside a block: ``async with farm.fault(do="reset", at="reply", on="gpu-1") as fault:``.

        Written as ``[[fault]]`` of a configuration; taken off at the end, so that what it holds goes on.

        :raises ConfigError: where it is no fault, or cannot happen there.
        :raises UnknownFault: where its glob means no instance, or its id is taken.
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
                await self._settled()

    async def heal(self) -> None:
        """Take all faults off, open all gates, have every instance up and at work."""
        self.farm.fault_controller.heal()
        await self._settled()

    async def _hold(self, claim: Expectation, within: Within) -> None:
        __tracebackhide__ = True
        reactor = self.farm.reactor
        await deferLater(reactor, 0)    # who asks again and again lets others work meanwhile
        for step in held(claim, self.evidence, within, reactor.seconds):
            if isinstance(step, AdvanceClock):
                await self.advance(step.by_ms / 1000)
            await deferLater(reactor, BREATH_S if isinstance(step, AdvanceClock) else step.for_s)

    async def _settled(self) -> None:
        for instance in self.instances.values():
            await instance.backend.port.settled()

    @property
    def urls(self) -> list[str]:
        """The base URL of each instance, in the order of the configuration."""
        return [instance.url for instance in self.instances.values()]

    @property
    def clock(self) -> IReactorTime:
        """What simulated time is read from: software that waits on it, too, has one time with a virtual farm."""
        return self.farm.clock_control.clock
